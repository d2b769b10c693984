import Dispatch
import EventMessages
import Foundation
import Logging

@testable import EventServer

extension FuzzTarget {
    /// Bytes sent to a real server on a real socket: it answers the next request whatever came before.
    static let connection = FuzzTarget(name: "connection") { try server.take($0) }

    private static let server = FuzzedServer()
}

/// A server for the life of the process, and a client that is replaced when an input ends it.
private final class FuzzedServer: @unchecked Sendable {
    private let server: EventServer
    private let path: String
    private var client: Int32 = -1
    private var number = 0

    init() {
        path = "/tmp/earshot-fuzz-\(ProcessInfo.processInfo.processIdentifier).sock"
        var configuration = EventServer.Configuration(socketPath: path)
        configuration.maximumLineLength = 2048
        configuration.clientQueueLimit = 16
        server = EventServer(
            configuration: configuration,
            providers: .init(
                hello: { HelloInformation(version: "0", model: "none", labels: ["dog"], sources: ["mic"]) },
                status: { ["model": "none"] },
                labels: { [LabelSummary(label: "dog", prompts: ["a dog"])] }),
            logger: Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() })
        let started = DispatchSemaphore(value: 0)
        let server = server
        Task.detached {
            do {
                try await server.start()
                started.signal()
            } catch {
                fatalError("\(error)")
            }
        }
        started.wait()
    }

    /// Sends the bytes, with messages to all clients between them, and waits for the answer to a request after them.
    func take(_ bytes: [UInt8]) throws {
        if client < 0 { try connect() }
        number += 1
        let half = bytes.count / 2
        try send(bytes[..<half])
        server.publish(message(number))
        try send(bytes[half...])
        server.publish(message(number))
        let endsStream = (bytes.first ?? 0) & 0x80 != 0
        let mark = "mark-\(number)"
        // Ends a line that the bytes have begun; what is asked for again is what a new client gets.
        try send(
            Array(
                "\n{\"method\":\"subscribe\"}\n{\"id\":\"\(mark)\",\"method\":\"ping\"}\(endsStream ? "" : "\n")".utf8)[
                    ...])
        if endsStream { shutdown(client, Int32(SHUT_WR)) }
        try awaitText("{\"id\":\"\(mark)\",\"result\":{\"pong\":true")
        if endsStream || number % 64 == 0 {
            close(client)
            client = -1
        }
    }

    private func message(_ number: Int) -> ServerMessage {
        let kind: EventMessage.Kind = [.onset, .update, .offset][number % 3]
        return .event(
            EventMessage(
                kind: kind, event: "e\(number / 3)", source: "mic", label: "dog", score: Double(number % 10) / 10,
                onset: .now(), onsetSample: 0, duration: 1))
    }

    private func connect() throws {
        client = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(client, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try demand(result == 0, "the server does not accept: \(String(cString: strerror(errno)))")
    }

    /// Inputs are short and replies to them fit the buffers on the way, so that all can be sent before one is read.
    private func send(_ bytes: ArraySlice<UInt8>) throws {
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            // libFuzzer's own timer.
            if count < 0, errno == EINTR { continue }
            try demand(count > 0, "the server does not read: \(String(cString: strerror(errno)))")
            rest = rest.dropFirst(count)
        }
    }

    private func awaitText(_ text: String) throws {
        let wanted = Data(text.utf8)
        var received = Data()
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while received.range(of: wanted) == nil {
            // What was searched already matters only where the text may have begun in it.
            received = Data(received.suffix(wanted.count))
            let count = recv(client, &chunk, chunk.count, 0)
            if count < 0, errno == EINTR { continue }
            try demand(count > 0, "no answer: \(count == 0 ? "closed" : String(cString: strerror(errno)))")
            received.append(contentsOf: chunk[..<count])
        }
    }
}
