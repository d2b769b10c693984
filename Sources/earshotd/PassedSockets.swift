import CSystemd
import Glibc

/// Listening sockets that systemd made for the daemon (socket activation), by the names in their units.
struct PassedSockets: Sendable {
    /// `FileDescriptorName=` of the units in `systemd/`.
    private(set) var events: CInt?
    private(set) var control: CInt?
    private(set) var metrics: CInt?

    /// Takes over what was passed to this process, and takes the variables that say so out of the environment. To be
    /// called once, before there are other threads.
    ///
    /// - Throws: ``ConfigurationProblem`` for sockets whose purpose is not clear.
    init() throws {
        var names: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
        let count = sd_listen_fds_with_names(1, &names)
        guard count > 0, let names else { return }
        defer {
            for index in 0..<Int(count) { free(names[index]) }
            free(names)
        }
        for index in 0..<Int(count) {
            let descriptor = SD_LISTEN_FDS_START + CInt(index)
            let name = names[index].map { String(cString: $0) } ?? ""
            switch name {
            // Without FileDescriptorName= a socket has the name of its unit, or none.
            case "events", "earshotd.socket", "unknown", "": try Self.take(&events, descriptor, name: "events")
            case "control": try Self.take(&control, descriptor, name: name)
            case "metrics": try Self.take(&metrics, descriptor, name: name)
            default:
                throw ConfigurationProblem(
                    "the service manager passes a socket named \"\(name)\"; FileDescriptorName= must be events, control "
                        + "or metrics")
            }
        }
    }

    private static func take(_ slot: inout CInt?, _ descriptor: CInt, name: String) throws {
        guard slot == nil else {
            throw ConfigurationProblem("the service manager passes two sockets for \(name); one is served")
        }
        slot = descriptor
    }
}
