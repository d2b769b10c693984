import Foundation
import Testing

/// A client on plain POSIX calls, so that the tests know the server only by its socket.
final class TestClient {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let descriptor: CInt
    private var received: [UInt8] = []
    private var isOpen = true

    /// - Parameters:
    ///   - timeout: Seconds without a byte after which reading fails: a test that hangs says where.
    ///   - receiveBuffer: Size of the kernel's buffer, nil for the system's.
    init(_ path: String, timeout: Int = 20) throws {
        descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Failure(description: "socket: \(errno)") }
        var limit = timeval(tv_sec: timeout, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            let code = errno
            Glibc.close(descriptor)
            isOpen = false
            throw Failure(description: "connect: \(String(cString: strerror(code)))")
        }
    }

    deinit { close() }

    func close() {
        if isOpen { Glibc.close(descriptor) }
        isOpen = false
    }

    /// Tells the server that nothing more will be sent; reading goes on.
    func shutdownWriting() {
        shutdown(descriptor, CInt(SHUT_WR))
    }

    func send(_ text: String) throws {
        try send(Array(text.utf8))
    }

    func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Failure(description: "send: \(String(cString: strerror(errno)))") }
            rest = rest.dropFirst(count)
        }
    }

    /// Waits until a line, or some of it, can be read. On a thread of its own, for servers that work in the cooperative
    /// pool: its threads must not all be held by waiting tests.
    func waitForInput() async {
        guard received.isEmpty else { return }
        let descriptor = descriptor
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                poll(&entry, 1, 20_000)
                continuation.resume()
            }
        }
    }

    /// The next line without its newline; nil at the end of the stream.
    func line() throws -> String? {
        var searched = 0
        while true {
            if let end = received[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = received[..<end]
                defer { received.removeSubrange(...end) }
                guard let text = String(validating: line, as: UTF8.self) else {
                    throw Failure(description: "the server sent invalid UTF-8")
                }
                return text
            }
            searched = received.count
            var chunk = [UInt8](repeating: 0, count: 65_536)
            let count = recv(descriptor, &chunk, chunk.count, 0)
            if count < 0 {
                // A server that closes while it has unread input resets the connection: that is an end as well.
                if errno == ECONNRESET { return nil }
                throw Failure(description: "nothing came: \(String(cString: strerror(errno)))")
            }
            if count == 0 {
                guard received.isEmpty else { throw Failure(description: "the stream ended within a line") }
                return nil
            }
            received += chunk[..<count]
        }
    }

    /// The next line as an object, decoded by Foundation.
    func message() throws -> [String: Any] {
        guard let line = try line() else { throw Failure(description: "the stream ended") }
        return try TestClient.object(line)
    }

    static func object(_ line: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "\(line)")
    }

    /// The next message of that type; others are passed over.
    func message(ofType type: String) throws -> [String: Any] {
        while true {
            let message = try message()
            if message["type"] as? String == type { return message }
        }
    }

    /// The next reply (the next message that has an id); others are passed over.
    func reply() throws -> [String: Any] {
        while true {
            let message = try message()
            if message.keys.contains("id") { return message }
        }
    }

    func result(_ request: String) throws -> [String: Any] {
        try send(request + "\n")
        let reply = try reply()
        return try #require(reply["result"] as? [String: Any], "\(reply)")
    }

    /// Code, message and field of the error that is the next reply.
    func error() throws -> (code: String, message: String, field: String?) {
        let reply = try reply()
        let error = try #require(reply["error"] as? [String: Any], "\(reply)")
        return (
            try #require(error["code"] as? String), try #require(error["message"] as? String), error["field"] as? String
        )
    }
}
