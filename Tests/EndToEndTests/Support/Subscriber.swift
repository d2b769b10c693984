import Foundation

/// A client of the daemon on plain POSIX calls, so that the tests know it only by its socket.
final class Subscriber: Sendable {
    let lines: Mailbox<Program.Line>
    private let descriptor: Int32

    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        lines = Mailbox("a client of \(path)")
        let result = withSocketAddress(path) { connect(descriptor, $0, $1) }
        guard result == 0 else {
            let code = errno
            close(descriptor)
            throw Failure("connect to \(path): \(String(cString: strerror(code)))")
        }
        // The reader has a descriptor of its own, so that neither closes the other's.
        readLines(of: fcntl(descriptor, F_DUPFD_CLOEXEC, 0), into: lines)
    }

    deinit {
        shutdown(descriptor, Int32(SHUT_RDWR))
        close(descriptor)
    }

    func send(_ text: String) throws {
        let bytes = Array((text + "\n").utf8)
        guard Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw Failure("send: \(String(cString: strerror(errno)))")
        }
    }

    /// The next message of a type, and when it came.
    func message(_ type: String, where condition: ([String: Any]) -> Bool = { _ in true }) async throws -> Message {
        let line = try await lines.first("\"\(type)\" message") { line in
            guard let object = try? jsonObject(line.text) else { return false }
            return object["type"] as? String == type && condition(object)
        }
        return Message(object: try jsonObject(line.text), time: line.time)
    }

    /// The `result` of a request; messages before it are passed over.
    func result(_ method: String, _ parameters: String = "{}") async throws -> [String: Any] {
        let id = UUID().uuidString
        try send(#"{"id":"\#(id)","method":"\#(method)","params":\#(parameters)}"#)
        let line = try await lines.first("reply to \(method)") { $0.text.contains(id) }
        guard let result = try jsonObject(line.text)["result"] as? [String: Any] else {
            throw Failure("\(method) was refused: \(line.text)")
        }
        return result
    }
}

/// A message of the daemon.
struct Message {
    let object: [String: Any]
    let time: Date

    subscript(name: String) -> String? { object[name] as? String }
    func number(_ name: String) -> Double? { (object[name] as? NSNumber)?.doubleValue }

    /// A time that the message gives.
    func date(_ name: String) -> Date? {
        let formatter = ISO8601DateFormatter()
        formatter.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
        return self[name].flatMap { formatter.date(from: $0) }
    }
}

func withSocketAddress<Result>(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
}

/// A service manager's notification socket: each datagram is one element, as its lines.
final class NotificationSocket: Sendable {
    let messages = Mailbox<[String]>("sd_notify messages")
    private let descriptor: Int32

    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        let result = withSocketAddress(path) { bind(descriptor, $0, $1) }
        guard result == 0 else { throw Failure("bind \(path): \(String(cString: strerror(errno)))") }
        let reader = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        Thread.detachNewThread { [messages] in
            var buffer = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = recv(reader, &buffer, buffer.count, 0)
                guard count > 0 else { break }
                messages.put(String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n").map(String.init))
            }
            close(reader)
            messages.finish()
        }
    }

    deinit {
        shutdown(descriptor, Int32(SHUT_RDWR))
        close(descriptor)
    }

    func next(_ assignment: String) async throws -> [String] {
        try await messages.first(assignment) { $0.contains(assignment) }
    }
}
