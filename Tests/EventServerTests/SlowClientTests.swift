import EventMessages
import Foundation
import Testing

@testable import EventServer

/// Clients that do not read, and what the others notice of it: nothing.
@Suite(.serialized) struct SlowClientTests {
    @Test func twoHundredClientsOneNeverReading() async throws {
        let count = 200
        let eventCount = 800
        try await Fixture.withServer({ configuration in
            configuration.clientQueueLimit = 64
            configuration.sendBufferSize = 16 * 1024
            // On a busy machine the test takes a while, and the sleeper is to wake up in the end.
            configuration.stallTimeout = .seconds(600)
        }) { server, path in
            let stalled = try TestClient(path)
            let clients = try (1..<count).map { _ in try Fixture.client(path) }
            // Sent in small bursts, each read by all: a reader that keeps up must not miss any of them.
            for burst in 0..<eventCount / 50 {
                for _ in 0..<50 { server.publish(Fixture.event()) }
                for client in clients {
                    for index in 1...50 {
                        let line = try #require(try client.line())
                        let expected = burst * 50 + index
                        if !line.contains("\"seq\":\(expected),") { Issue.record("expected \(expected): \(line)") }
                    }
                }
            }
            // All stay connected until they are counted.
            let status = try withExtendedLifetime(clients) { try clients[0].result(#"{"method":"status"}"#) }
            let totals = try #require(status["server"] as? [String: Any])
            #expect(totals["clients"] as? Int == count)
            let missed = try #require(totals["missed"] as? Int)
            #expect(missed > 0)
            #expect(totals["sent"] as? Int ?? 0 >= (count - 1) * eventCount)
            // When the one that slept wakes up, it gets a stream in order whose hole is marked and adds up.
            var last = 0
            var reported = 0
            _ = try stalled.message()
            while last < eventCount {
                let message = try stalled.message()
                if message["type"] as? String == "lagged" {
                    let number = try #require(message["missed"] as? Int)
                    #expect(message["resume"] as? Int == last)
                    reported += number
                    last += number
                } else {
                    #expect(message["seq"] as? Int == last + 1)
                    last += 1
                }
            }
            #expect(reported == missed)
        }
    }

    @Test func clientThatTakesNothingIsClosed() async throws {
        try await Fixture.withServer({ configuration in
            configuration.clientQueueLimit = 16
            configuration.sendBufferSize = 4096
            configuration.stallTimeout = .milliseconds(200)
        }) { server, path in
            let stalled = try Fixture.client(path)
            let idle = try Fixture.client(path)
            _ = try idle.result(#"{"method":"unsubscribe"}"#)
            for _ in 0..<2000 { server.publish(Fixture.event()) }
            // Polls by requests; the server's timer runs meanwhile.
            var closed = 0
            let limit = ContinuousClock.now + .seconds(20)
            while closed == 0, ContinuousClock.now < limit {
                let status = try idle.result(#"{"method":"status"}"#)
                closed = try #require((status["server"] as? [String: Any])?["closed_slow"] as? Int)
            }
            #expect(closed == 1)
            // The other one was idle for as long, but nothing waited for it.
            #expect(try idle.result(#"{"method":"ping"}"#)["pong"] as? Bool == true)
            var lines = 0
            while let end = try? stalled.line() {
                lines += 1
                _ = end
            }
            #expect(lines < 2000)
        }
    }

    @Test func clientThatAsksWithoutReadingHoldsLittle() async throws {
        try await Fixture.withServer({ $0.sendBufferSize = 4096 }) { server, path in
            let greedy = try Fixture.client(path)
            let watcher = try Fixture.client(path)
            // Fill until the server no longer takes it.
            var flags = fcntl(greedy.descriptor, F_GETFL)
            flags |= O_NONBLOCK
            _ = fcntl(greedy.descriptor, F_SETFL, flags)
            let request = Array((String(repeating: "{\"id\":1,\"method\":\"labels\"}\n", count: 100)).utf8)
            var total = 0
            var refusals = 0
            while total < 64 * 1024 * 1024, refusals < 50 {
                let count = send(greedy.descriptor, request, request.count, CInt(MSG_NOSIGNAL))
                if count < 0 {
                    // A reply from the server's loop shows that it had its turn.
                    _ = try watcher.result(#"{"method":"ping"}"#)
                    refusals += 1
                } else {
                    total += count
                    refusals = 0
                }
            }
            #expect(total < 8 * 1024 * 1024, "requests are left in the kernel while replies are not read")
            let status = try watcher.result(#"{"method":"status","params":{"connections":true}}"#)
            let connections = try #require(status["connections"] as? [[String: Any]])
            #expect(connections.allSatisfy { ($0["buffered_bytes"] as? Int ?? 0) < 256 * 1024 })
            // Its end is noticed although nothing is read from it.
            greedy.close()
            var clients = 2
            for _ in 0..<10_000 where clients > 1 {
                let status = try watcher.result(#"{"method":"status"}"#)
                clients = try #require((status["server"] as? [String: Any])?["clients"] as? Int)
            }
            #expect(clients == 1)
            server.publish(Fixture.event())
            #expect(try watcher.message()["type"] as? String == "onset")
        }
    }

    @Test func eventLoopBehindIsReportedToAll() async throws {
        // The status provider blocks the loop until the mailbox has overflowed.
        let entered = DispatchSemaphore(value: 0)
        let proceed = DispatchSemaphore(value: 0)
        var providers = Fixture.providers
        providers.status = {
            entered.signal()
            proceed.wait()
            return [:]
        }
        try await Fixture.withServer({ $0.handOverLimit = 10 }, providers: providers) { server, path in
            let client = try Fixture.client(path)
            try client.send("{\"id\":1,\"method\":\"status\"}\n")
            entered.wait()
            for _ in 0..<30 { server.publish(Fixture.event()) }
            proceed.signal()
            _ = try client.reply()
            let lagged = try client.message()
            #expect(lagged["type"] as? String == "lagged")
            #expect(lagged["missed"] as? Int == 20)
            #expect(lagged["resume"] as? Int == 0)
            for sequence in 21...30 { #expect(try client.message()["seq"] as? Int == sequence) }
        }
    }

    @Test func publishingFromManyThreadsKeepsOrder() async throws {
        try await Fixture.withServer({ $0.clientQueueLimit = 10_000 }) { server, path in
            let client = try Fixture.client(path)
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask { for _ in 0..<250 { server.publish(Fixture.event()) } }
                }
            }
            for sequence in 1...2000 { #expect(try client.message()["seq"] as? Int == sequence) }
        }
    }

    @Test func stopSendsWhatIsLeftAndDoesNotWaitForSleepers() async throws {
        let directory = try TemporaryDirectory()
        var configuration = EventServer.Configuration(socketPath: directory.file("e.sock"))
        configuration.stopTimeout = .milliseconds(200)
        configuration.sendBufferSize = 4096
        let server = EventServer(
            configuration: configuration, providers: Fixture.providers, logger: Fixture.silentLogger)
        try await server.start()
        let sleeper = try Fixture.client(configuration.socketPath)
        let reader = try Fixture.client(configuration.socketPath)
        _ = try reader.result(#"{"method":"subscribe","params":{"labels":["last"]}}"#)
        for _ in 0..<2000 { server.publish(Fixture.event()) }
        server.publish(Fixture.event(label: "last"))
        await server.stop()
        #expect(try reader.message()["label"] as? String == "last")
        #expect(try reader.line() == nil)
        sleeper.close()
        await server.stop()
    }
}
