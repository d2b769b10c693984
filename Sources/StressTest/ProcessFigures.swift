import Foundation

/// What Linux says of a process.
struct ProcessFigures {
    /// Resident memory in MiB.
    let residentMegabytes: Double
    let openDescriptors: Int
    let threads: Int

    /// - Throws: What reading `/proc` throws, where the process is gone.
    init(of identifier: Int32) throws {
        let status = try String(contentsOfFile: "/proc/\(identifier)/status", encoding: .utf8)
        func field(_ name: String) -> Double {
            let line = status.split(separator: "\n").first { $0.hasPrefix(name + ":") }
            return line.flatMap { $0.split(whereSeparator: \.isWhitespace).dropFirst().first }.flatMap { Double($0) }
                ?? 0
        }
        residentMegabytes = field("VmRSS") / 1024
        threads = Int(field("Threads"))
        openDescriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(identifier)/fd").count
    }
}

/// Sets the number of descriptors that this process and those it starts may have to the most that it can be.
func raiseDescriptorLimit() {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
}

/// A folder of its own, removed at the end.
final class ScratchFolder {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "earshot-stress-\(getpid())"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }
}

/// Another program of this build.
func siblingProgram(_ name: String) throws -> URL {
    let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent(name)
}
