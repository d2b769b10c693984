import Foundation
import TestSupport

/// A mosquitto of the test's own on a loopback port, and clients of it.
final class Broker {
    static let isInstalled: Bool = {
        let isThere = [server, client].allSatisfy { FileManager.default.isExecutableFile(atPath: $0) }
        if !isThere { print("MQTTTests: skipped, mosquitto or mosquitto-clients is not installed") }
        return isThere
    }()
    private static let server = "/usr/sbin/mosquitto"
    private static let client = "/usr/bin/mosquitto_sub"

    /// What a client gets.
    struct Delivery: Sendable, CustomStringConvertible {
        let topic: String
        let isRetained: Bool
        let payload: String
        var description: String { "\(topic) \(payload)" }
    }

    let port: Int
    private let folder: TemporaryFolder
    private let configuration: String
    /// Options of a client that is let in.
    private let clientOptions: [String]
    private var program: Program?

    /// - Parameters:
    ///   - settings: Lines of its configuration besides the listener's address.
    ///   - clientOptions: For `mosquitto_sub`, such as the password that the settings ask for.
    init(_ folder: TemporaryFolder, settings: [String] = ["allow_anonymous true"], clientOptions: [String] = []) throws
    {
        self.folder = folder
        self.clientOptions = clientOptions
        port = try Self.freePort()
        let base = [
            "listener \(port) 127.0.0.1", "user root", "log_dest stderr", "log_type all",
            // What a client that is known has not got survives a restart.
            "persistence true", "persistence_location \(folder.path)/",
        ]
        configuration = try folder.write(
            "mosquitto-\(port).conf", (base + settings).joined(separator: "\n") + "\n")
    }

    /// A port that nobody listens on at the moment.
    private static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isKnown = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard isKnown else { throw Failure("no free port: \(String(cString: strerror(errno)))") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    /// Starts it and waits until it listens.
    func start() async throws {
        let program = try Program(Self.server, ["-c", configuration])
        self.program = program
        _ = try await program.errors.first(within: .seconds(20), "line about its start") {
            $0.text.contains(" running")
        }
    }

    func stop() async throws {
        program?.send(SIGTERM)
        _ = try await program?.exit()
        program = nil
    }

    /// The next line of its log that contains `text`.
    func log(_ text: String) async throws {
        _ = try await program?.errors.first(within: .seconds(30), "\"\(text)\"") { $0.text.contains(text) }
    }

    /// A client that gets everything below a topic, over restarts of the broker; it is subscribed when this returns.
    func subscriber(_ topic: String = "#") async throws -> Reader {
        let client = "reader-\(UUID().uuidString.prefix(8))"
        let program = try Program(
            Self.client,
            ["-h", "localhost", "-p", "\(port)", "-i", client, "-c", "-q", "1", "-t", topic, "-F", "%t\t%r\t%p"]
                + clientOptions)
        try await log("Sending SUBACK to \(client)")
        return Reader(program: program)
    }

    struct Reader {
        let program: Program

        func next(_ what: String, where condition: (Delivery) -> Bool) async throws -> Delivery {
            var found: Delivery?
            _ = try await program.output.first(within: .seconds(40), what) { line in
                let fields = line.text.split(separator: "\t", maxSplits: 2, omittingEmptySubsequences: false)
                guard fields.count == 3 else { return false }
                let delivery = Delivery(
                    topic: String(fields[0]), isRetained: fields[1] == "1", payload: String(fields[2]))
                if condition(delivery) { found = delivery }
                return found != nil
            }
            guard let found else { throw Failure("no \(what)") }
            return found
        }
    }
}
