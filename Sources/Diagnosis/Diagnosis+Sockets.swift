import DaemonConfiguration
import EventClient
import Glibc

extension Diagnosis {
    // MARK: Sockets

    /// Asks the daemon for its state, and looks at the socket's rights.
    func checkSocket(_ service: ServiceState) async -> (DaemonStatus?, Finding) {
        let socket = configuration.socket
        let status: DaemonStatus
        do {
            status = try DaemonStatus(json: try await EventClient.request("status", socketPath: socket.path))
        } catch {
            var file = stat()
            let isAbsent = lstat(socket.path, &file) != 0 && errno == ENOENT
            if isAbsent, !service.isActive {
                return (nil, .warn("socket", "\(socket.path) is not there: no daemon runs", "start earshotd"))
            }
            return (nil, .fail("socket", "\(error)", "journalctl -u \(unit) tells what the daemon does"))
        }
        let wanted = Rights(mode: socket.mode, group: socket.group)
        if let difference = Rights.difference(at: socket.path, from: wanted) {
            return (status, .warn("socket", "\(socket.path) answers, but \(difference)", "restart earshotd"))
        }
        return (status, .ok("socket", "\(socket.path) answers: earshotd \(status.version), \(status.labels) labels"))
    }

    /// Whether the control socket is there and closed to others; nothing where none is configured.
    func checkControlSocket(isRunning: Bool) async -> [Finding] {
        guard let path = configuration.controlSocketPath else { return [] }
        var file = stat()
        guard lstat(path, &file) == 0, file.st_mode & S_IFMT == S_IFSOCK else {
            let text = "there is no socket \(path)"
            return [isRunning ? .fail("control", text, "restart earshotd") : .warn("control", text, "start earshotd")]
        }
        if let difference = Rights.difference(at: path, from: Rights(mode: 0o600, group: nil)) {
            return [.fail("control", "\(path): \(difference)", "restart earshotd, which makes it 0600")]
        }
        guard geteuid() == 0 || geteuid() == file.st_uid else {
            return [.ok("control", "\(path) is there; only root and its owner can ask more")]
        }
        do {
            _ = try await EventClient.request("status", socketPath: path)
            return [.ok("control", "\(path) answers")]
        } catch {
            return [isRunning ? .fail("control", "\(error)", "restart earshotd") : .warn("control", "\(error)", nil)]
        }
    }

    /// Rights of a socket file.
    struct Rights {
        var mode: UInt32
        /// Nil for any.
        var group: String?

        /// In words how the file differs; nil if it does not.
        static func difference(at path: String, from wanted: Rights) -> String? {
            var file = stat()
            guard lstat(path, &file) == 0 else { return "its rights cannot be read" }
            let mode = file.st_mode & 0o777
            if mode != wanted.mode {
                return "its mode is 0\(String(mode, radix: 8)) instead of 0\(String(wanted.mode, radix: 8))"
            }
            if let group = wanted.group, group != "\(file.st_gid)", group != Account.groupName(of: path) {
                return "its group is \(Account.groupName(of: path) ?? "\(file.st_gid)") instead of \(group)"
            }
            return nil
        }
    }

    // MARK: Metrics

    /// Fetches the metrics once, if they are configured.
    func checkMetrics(isRunning: Bool) -> Finding {
        guard let address = configuration.metrics.address else { return .ok("metrics", "off (`metrics.listen`)") }
        let text: String
        let reply: String?
        switch address {
        case .tcp(let host, let port):
            text = "\(host):\(port)"
            reply = fetchMetrics { try? ConnectedSocket(host: host, port: port) }
        case .unix(let path):
            text = path
            reply = fetchMetrics { try? ConnectedSocket(path: path) }
        }
        guard let reply else {
            let advice = isRunning ? "restart earshotd; journalctl -u \(unit) says what was wrong" : "start earshotd"
            let problem = "nothing answers on \(text)"
            return isRunning ? .fail("metrics", problem, advice) : .warn("metrics", problem, advice)
        }
        guard reply.hasPrefix("HTTP/1.1 200 "), reply.contains("\nearshot_build_info{") else {
            return .fail(
                "metrics", "what answers on \(text) is not earshotd", "give metrics.listen another port")
        }
        return .ok("metrics", "http \(text)/metrics answers")
    }

    private func fetchMetrics(_ connect: () -> ConnectedSocket?) -> String? {
        connect()?.exchange("GET /metrics HTTP/1.0\r\n\r\n")
    }
}

/// A blocking stream socket with a time limit.
private final class ConnectedSocket {
    private struct NotConnected: Error {}

    private let descriptor: CInt

    init(host: String, port: Int) throws {
        if host.contains(":") {
            descriptor = Self.make(AF_INET6)
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = in_port_t(port).bigEndian
            inet_pton(AF_INET6, host, &address.sin6_addr)
            try connect(&address)
        } else {
            descriptor = Self.make(AF_INET)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(port).bigEndian
            inet_pton(AF_INET, host, &address.sin_addr)
            try connect(&address)
        }
    }

    init(path: String) throws {
        descriptor = Self.make(AF_UNIX)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else { throw NotConnected() }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        try connect(&address)
    }

    deinit { close(descriptor) }

    private static func make(_ family: CInt) -> CInt {
        let descriptor = socket(family, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        var limit = timeval(tv_sec: 3, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        return descriptor
    }

    private func connect<Address>(_ address: inout Address) throws {
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<Address>.size))
            }
        }
        if code != 0 { throw NotConnected() }
    }

    /// Sends a request and reads up to the other side's close, 1 MiB at most; nil where that fails.
    func exchange(_ request: String) -> String? {
        let bytes = Array(request.utf8)
        guard send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL)) == bytes.count else { return nil }
        var reply: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while reply.count < 1 << 20 {
            let count = recv(descriptor, &chunk, chunk.count, 0)
            if count == 0 { return String(decoding: reply, as: UTF8.self) }
            guard count > 0 else { return nil }
            reply += chunk[..<count]
        }
        return nil
    }
}
