import Foundation

/// An HTTP client on plain POSIX calls.
final class HTTPClient {
    enum Address {
        case tcp(Int)
        case unix(String)
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    struct Reply {
        let status: Int
        /// Names in lower case.
        let headers: [String: String]
        let body: String
    }

    private let descriptor: CInt

    init(_ address: Address) throws {
        switch address {
        case .tcp(let port):
            descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = UInt16(port).bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            try connect(&address)
        case .unix(let path):
            descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
            try connect(&address)
        }
        var limit = timeval(tv_sec: 1, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    private func connect<Address>(_ address: inout Address) throws {
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<Address>.size))
            }
        }
        guard code == 0 else { throw Failure(description: "connect: \(String(cString: strerror(errno)))") }
    }

    func send(_ text: String) throws {
        let count = Glibc.send(descriptor, Array(text.utf8), text.utf8.count, CInt(MSG_NOSIGNAL))
        guard count == text.utf8.count else { throw Failure(description: "send: \(errno)") }
    }

    /// Sends no more; still reads.
    func endOutput() throws {
        guard shutdown(descriptor, CInt(SHUT_WR)) == 0 else { throw Failure(description: "shutdown: \(errno)") }
    }

    /// Waits until something can be read. On a thread of its own: the server works in the cooperative pool, whose threads
    /// must not all be held by waiting tests.
    private func waitForInput() async {
        let descriptor = descriptor
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                poll(&entry, 1, 20_000)
                continuation.resume()
            }
        }
    }

    /// Everything up to the server's close.
    func receiveAll() async throws -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            await waitForInput()
            let count = recv(descriptor, &chunk, chunk.count, 0)
            if count == 0 || count < 0 && errno == ECONNRESET { return bytes }
            guard count > 0 else { throw Failure(description: "not closed: \(String(cString: strerror(errno)))") }
            bytes += chunk[..<count]
        }
    }

    /// Begins to read only when another connection has ended.
    func receiveAll(after other: HTTPClient) async throws -> [UInt8] {
        try await other.expectEnd()
        return try await receiveAll()
    }

    /// The server closes without a byte.
    func expectEnd() async throws {
        let bytes = try await receiveAll()
        guard bytes.isEmpty else { throw Failure(description: String(decoding: bytes, as: UTF8.self)) }
    }

    /// - Parameter closing: whether the connection's own half is closed right after the request.
    func exchange(_ request: String, closing: Bool = false) async throws -> Reply {
        try send(request)
        if closing { try endOutput() }
        let text = String(decoding: try await receiveAll(), as: UTF8.self)
        guard let end = text.range(of: "\r\n\r\n") else { throw Failure(description: "no reply: \(text)") }
        let lines = text[..<end.lowerBound].components(separatedBy: "\r\n")
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            headers[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces)
        }
        let words = lines[0].split(separator: " ")
        guard words.count > 1, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else {
            throw Failure(description: "no status: \(text)")
        }
        return Reply(status: status, headers: headers, body: String(text[end.upperBound...]))
    }
}
