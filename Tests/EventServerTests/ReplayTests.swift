import EventMessages
import EventStore
import Foundation
import Testing

@testable import EventServer

/// `since`, over a real socket from a real store.
@Suite struct ReplayTests {
    /// A server whose messages come from a recorder, with what `before` stored first.
    private func withStore(
        maximumAge: Double? = nil, before: (EventRecorder) -> Void = { _ in },
        configure: (inout EventServer.Configuration) -> Void = { _ in },
        _ body: (EventRecorder, EventServer, String) async throws -> Void
    ) async throws {
        let folder = try TemporaryDirectory()
        let store = EventStore.Configuration(path: folder.file("events.db"), maximumAge: maximumAge)
        let first = try EventRecorder(store, logger: Fixture.silentLogger) { _ in }
        before(first)
        first.close()
        let outlet = Outlet()
        var limits = EventRecorder.Limits()
        limits.pruneInterval = .milliseconds(20)
        let recorder = try EventRecorder(store, limits: limits, logger: Fixture.silentLogger) {
            outlet.server.value?.publish($0)
        }
        var configuration = EventServer.Configuration(socketPath: folder.file("e.sock"))
        configuration.firstSequence = recorder.lastSequence + 1
        configure(&configuration)
        let server = EventServer(
            configuration: configuration, providers: Fixture.providers, history: recorder, logger: Fixture.silentLogger)
        outlet.server.value = server
        try await server.start()
        do {
            try await body(recorder, server, configuration.socketPath)
        } catch {
            await server.stop()
            throw error
        }
        recorder.close()
        await server.stop()
    }

    private final class Outlet: Sendable {
        let server = Locked<EventServer?>(nil)
    }

    private func subscribe(_ client: TestClient, _ parameters: String) throws -> [String: Any] {
        try client.result(#"{"id":1,"method":"subscribe","params":{\#(parameters)}}"#)
    }

    /// The past, then the present, while messages keep coming from two threads: no hole, no double.
    @Test(arguments: [0, 1, 777, 2000]) func pastThenPresent(since: Int) async throws {
        // A reader that gets little of the processor is not what this is about.
        try await withStore(
            before: { for _ in 0..<2000 { $0.record(Fixture.event()) } }, configure: { $0.clientQueueLimit = 10_000 }
        ) { recorder, _, path in
            let client = try Fixture.client(path)
            let threads = (0..<2).map { _ in Thread { for _ in 0..<3000 { recorder.record(Fixture.gap()) } } }
            threads[0].start()
            let answer = try subscribe(client, #""since":\#(since)"#)
            #expect(answer["seq"] as? Int ?? 0 >= 2000)
            threads[1].start()
            for sequence in since + 1...8000 {
                let message = try client.message()
                guard message["seq"] as? Int == sequence else {
                    Issue.record("\(sequence) was due, not \(message)")
                    return
                }
            }
        }
    }

    @Test func filtersHoldForThePast() async throws {
        try await withStore(before: { recorder in
            for index in 0..<300 {
                recorder.record(Fixture.event(.onset, label: index % 3 == 0 ? "dog" : "cat", event: "e\(index)"))
                recorder.record(Fixture.event(.offset, label: index % 3 == 0 ? "dog" : "cat", event: "e\(index)"))
                recorder.record(Fixture.gap())
            }
        }) { recorder, _, path in
            let client = try Fixture.client(path)
            _ = try subscribe(client, #""since":0,"labels":["d*"],"types":["offset"]"#)
            recorder.record(Fixture.event(.offset, label: "dog", event: "live"))
            for index in 0..<100 {
                let message = try client.message()
                #expect(message["event"] as? String == "e\(index * 3)" && message["type"] as? String == "offset")
            }
            #expect(try client.message()["event"] as? String == "live")
            // A request in the middle of a replay ends it.
            _ = try subscribe(client, #""since":0"#)
            _ = try client.result(#"{"method":"unsubscribe"}"#)
            _ = try subscribe(client, #""types":["gap"]"#)
            recorder.record(Fixture.gap())
            #expect(try client.message()["seq"] as? Int == 902)
        }
    }

    @Test func whatIsGoneIsSaid() async throws {
        try await withStore(
            maximumAge: 0.2,
            before: { recorder in
                for _ in 0..<50 { recorder.record(Fixture.gap()) }
            }
        ) { recorder, server, path in
            let store = recorder.configuration
            // The newest message stays for its number.
            while try EventStoreReader(path: store.path).firstSequence() < 50 {
                try await Task.sleep(for: .milliseconds(20))
            }
            recorder.record(Fixture.gap())
            let client = try Fixture.client(path)
            _ = try subscribe(client, #""since":10"#)
            let lagged = try client.message()
            #expect(lagged["type"] as? String == "lagged" && lagged["lost"] as? Bool == true, "\(lagged)")
            // By now 50 may be gone as well.
            let missed = try #require(lagged["missed"] as? Int)
            #expect(lagged["resume"] as? Int == 10 && (39...40).contains(missed))
            for sequence in 11 + missed...51 { #expect(try client.message()["seq"] as? Int == sequence) }
        }
    }

    @Test func wrongNumbersAreRefused() async throws {
        try await withStore(before: { for _ in 0..<5 { $0.record(Fixture.gap()) } }) { recorder, _, path in
            let client = try Fixture.client(path)
            for (since, word) in [
                ("6", "above the last"), ("-1", "whole number"), ("1.5", "whole number"), ("\"1\"", "whole number"),
            ] {
                try client.send("{\"id\":7,\"method\":\"subscribe\",\"params\":{\"since\":\(since)}}\n")
                let error = try client.error()
                #expect(
                    error.code == "invalid_params" && error.field == "since" && error.message.contains(word), "\(error)"
                )
            }
            // The subscription before is still in force.
            recorder.record(Fixture.gap())
            #expect(try client.message()["seq"] as? Int == 6)
        }
    }

    @Test func withoutAStoreSinceIsRefused() async throws {
        try await Fixture.withServer { _, path in
            let client = try Fixture.client(path)
            try client.send("{\"method\":\"subscribe\",\"params\":{\"since\":0}}\n")
            let error = try client.error()
            #expect(error.code == "unsupported" && error.field == "since")
        }
    }

    /// A client that asks for everything and reads nothing holds a page and the channel's buffer, no more; others go on.
    @Test func replayWaitsForTheClient() async throws {
        let count = 20_000
        try await withStore(
            before: { recorder in
                for index in 0..<count {
                    recorder.record(Fixture.event())
                    // In portions that the recorder's queue holds.
                    if index % 4000 == 0 { while recorder.status.pending > 0 { usleep(1000) } }
                }
            }, configure: { $0.sendBufferSize = 8192 }
        ) { recorder, _, path in
            let slow = try Fixture.client(path)
            try slow.send(#"{"id":1,"method":"subscribe","params":{"since":0}}"# + "\n")
            let other = try Fixture.client(path)
            _ = try subscribe(other, #""since":19990"#)
            for sequence in 19_991...count { #expect(try other.message()["seq"] as? Int == sequence) }
            let status = try other.result(#"{"method":"status","params":{"connections":true}}"#)
            let connections = try #require(status["connections"] as? [[String: Any]])
            #expect(
                connections.contains { $0["replaying"] as? Bool == true && $0["queued"] as? Int == 0 }, "\(connections)"
            )
            for connection in connections { #expect(connection["buffered_bytes"] as? Int ?? .max < 256 * 1024) }
            recorder.record(Fixture.gap())
            _ = try slow.reply()
            for sequence in 1...count + 1 {
                let message = try slow.message()
                guard message["seq"] as? Int == sequence else {
                    Issue.record("\(sequence) was due, not \(message)")
                    return
                }
            }
        }
    }
}

/// A value that several threads use.
final class Locked<Value: Sendable>: @unchecked Sendable {
    private let lock = NSLock()
    private var stored: Value

    init(_ value: Value) { stored = value }

    var value: Value {
        get { lock.withLock { stored } }
        set { lock.withLock { stored = newValue } }
    }
}
