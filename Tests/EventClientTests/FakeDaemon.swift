import Foundation

/// A socket whose first client gets some bytes and is then closed.
final class FakeDaemon: Sendable {
    let path: String
    private let descriptor: CInt

    init(_ path: String, sends pieces: [String]) throws {
        self.path = path
        descriptor = try FakeDaemon.bound(path)
        guard listen(descriptor, 1) == 0 else { throw CocoaError(.fileReadUnknown) }
        Thread.detachNewThread { [descriptor] in
            let client = accept(descriptor, nil, nil)
            for piece in pieces {
                let bytes = Array(piece.utf8)
                if send(client, bytes, bytes.count, CInt(MSG_NOSIGNAL)) < 0 { break }
            }
            close(client)
            close(descriptor)
        }
    }

    /// A Unix socket with a file that nobody listens on.
    static func bound(_ path: String) throws -> CInt {
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw CocoaError(.fileWriteUnknown) }
        return descriptor
    }
}

/// A folder of its own for sockets, removed at the end.
final class TemporaryDirectory: Sendable {
    private let url: URL

    init() throws {
        url = URL(fileURLWithPath: "/tmp/earshot-client-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    func file(_ name: String) -> String { url.appendingPathComponent(name).path }
}
