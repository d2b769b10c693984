import EventMessages
import EventServer
import Foundation
import Logging
import NIOCore
import Synchronization
import Testing

@testable import EventClient

/// The client against a real server, and against what only looks like one.
@Suite struct EventClientTests {
    private static let hello = "{\"type\":\"hello\",\"protocol\":1}\n"

    private func withServer(
        maximumClients: Int = 16, _ body: (EventServer, String) async throws -> Void
    ) async throws {
        let directory = try TemporaryDirectory()
        var configuration = EventServer.Configuration(socketPath: directory.file("e.sock"))
        configuration.maximumClients = maximumClients
        let server = EventServer(
            configuration: configuration,
            providers: .init(
                hello: { HelloInformation(version: "1", model: "test", labels: [], sources: []) },
                status: { [:] }, labels: { [] }),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await server.start()
        do {
            try await body(server, configuration.socketPath)
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }

    private static let gap = ServerMessage.gap(
        GapMessage(source: "mic0", from: .now(), to: .now(), fromSample: 0, duration: 1, reason: "overrun"))

    /// The lines received until the stream ends, and whether the receiver ended it.
    private func lines(
        _ path: String, requests: [String] = [], count: Int = .max, maximumLineLength: Int = 4 << 20
    ) async throws -> (lines: [String], wasEndedHere: Bool) {
        let lines = Mutex<[String]>([])
        let wasEndedHere = try await EventClient.run(
            socketPath: path, requests: requests, maximumLineLength: maximumLineLength
        ) { line in
            lines.withLock {
                $0.append(line)
                return $0.count < count
            }
        }
        return (lines.withLock { $0 }, wasEndedHere)
    }

    private func failure(_ path: String, maximumLineLength: Int = 4 << 20) async throws -> String {
        let error = await #expect(throws: EventClient.ConnectionError.self) {
            try await lines(path, maximumLineLength: maximumLineLength)
        }
        let text = try #require(error).description
        #expect(!text.contains("\n"))
        return text
    }

    @Test func helloComesFirstAndRepliesInOrder() async throws {
        try await withServer { _, path in
            let requests = [#"{"id":1,"method":"ping"}"#, #"{"id":2,"method":"dance"}"#]
            let (lines, wasEndedHere) = try await lines(path, requests: requests, count: 3)
            #expect(wasEndedHere)
            #expect(lines[0].hasPrefix(#"{"type":"hello""#))
            #expect(lines[1].hasPrefix(#"{"id":1,"result""#))
            #expect(lines[2].hasPrefix(#"{"id":2,"error""#))
        }
    }

    @Test func eventsComeUntilTheDaemonStops() async throws {
        try await withServer { server, path in
            let seen = Mutex(0)
            let wasEndedHere = try await EventClient.run(socketPath: path, requests: []) { line in
                switch seen.withLock({
                    $0 += 1; return $0
                }) {
                case 1: for _ in 0..<500 { server.publish(Self.gap) }
                case 501: Task { await server.stop() }
                default: break
                }
                return true
            }
            #expect(!wasEndedHere)
            #expect(seen.withLock { $0 } == 501)
        }
    }

    @Test func oneClientTooManyIsTold() async throws {
        try await withServer(maximumClients: 1) { _, path in
            try await EventClient.run(socketPath: path, requests: []) { _ in
                let message = try await failure(path)
                #expect(message.contains("earshotd refuses: there are 1 clients already"))
                return false
            }
        }
    }

    @Test func cancellationClosesTheConnection() async throws {
        try await withServer(maximumClients: 1) { _, path in
            let (greeted, continuation) = AsyncStream.makeStream(of: Void.self)
            let task = Task {
                try await EventClient.run(socketPath: path, requests: []) { _ in
                    continuation.yield()
                    return true
                }
            }
            for await _ in greeted { break }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            // Its place is free as soon as the server has noticed.
            var isFree = false
            for _ in 0..<10_000 where !isFree { isFree = (try? await lines(path, count: 1)) != nil }
            #expect(isFree)
        }
    }

    @Test func errorOfTheReceiverIsThrown() async throws {
        try await withServer { _, path in
            await #expect(throws: CocoaError.self) {
                try await EventClient.run(socketPath: path, requests: []) { _ in throw CocoaError(.userCancelled) }
            }
        }
    }

    @Test func whyNobodyAnswersIsSaid() async throws {
        let directory = try TemporaryDirectory()
        let missing = directory.file("missing")
        #expect(try await failure(missing).hasPrefix("\(missing): there is no such socket; start earshotd"))
        let abandoned = directory.file("abandoned")
        close(try FakeDaemon.bound(abandoned))
        #expect(try await failure(abandoned).hasPrefix("\(abandoned): no earshotd listens on this socket"))
        let file = directory.file("file")
        try Data().write(to: URL(fileURLWithPath: file))
        #expect(try await failure(file).contains("no earshotd listens"))
        #expect(try await failure(directory.file(String(repeating: "x", count: 200))).contains("too long"))
        // Root may use every socket, so this one is not tried for real.
        #expect(EventClient.advice(on: IOError(errnoCode: EACCES, reason: "connect")).contains("join its group"))
        #expect(EventClient.advice(on: IOError(errnoCode: EAGAIN, reason: "connect")).contains("unavailable"))
    }

    @Test func linesDoNotDependOnHowTheyAreSent() async throws {
        let directory = try TemporaryDirectory()
        let daemon = try FakeDaemon(
            directory.file("s"), sends: ["{\"type\":", "\"hello\"}\n1\n", "\n", "2", "\n", "ü\r\ncut"])
        let (lines, wasEndedHere) = try await lines(daemon.path)
        #expect(lines == ["{\"type\":\"hello\"}", "1", "", "2", "ü\r"])
        #expect(!wasEndedHere)
    }

    @Test func whatIsNotADaemonIsRefused() async throws {
        let directory = try TemporaryDirectory()
        let stranger = try FakeDaemon(directory.file("a"), sends: ["SSH-2.0-OpenSSH\n"])
        #expect(try await failure(stranger.path).contains("is not earshotd"))
        // The decoder of JSON would trap at the last of these.
        let nested = try FakeDaemon(directory.file("n"), sends: [String(repeating: "[", count: 513) + "\n"])
        #expect(try await failure(nested.path).contains("is not earshotd"))
        let mute = try FakeDaemon(directory.file("b"), sends: [])
        #expect(try await failure(mute.path).contains("closed at once"))
        let endless = Array(repeating: String(repeating: "x", count: 1000), count: 1000)
        for (name, pieces) in [("c", endless), ("d", [Self.hello] + endless)] {
            let daemon = try FakeDaemon(directory.file(name), sends: pieces)
            #expect(try await failure(daemon.path, maximumLineLength: 100_000).contains("more than 100000 bytes"))
        }
        let longest = try FakeDaemon(directory.file("e"), sends: [Self.hello, "12345678901234567890123456789012\n"])
        #expect(try await lines(longest.path, maximumLineLength: 32).lines.count == 2)
    }
}
