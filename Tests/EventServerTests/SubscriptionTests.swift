import EventMessages
import Foundation
import Testing

@testable import EventServer

/// Filters and `top`, over a real socket and by themselves.
@Suite struct SubscriptionTests {
    @Test func filtersSelect() async throws {
        try await Fixture.withServer { server, path in
            let client = try Fixture.client(path)
            let answer = try client.result(
                #"{"id":1,"method":"subscribe","params":{"labels":["dog*","?at"],"sources":["mic*"],"min_score":0.5,"types":["onset"]}}"#
            )
            #expect(answer["seq"] as? Int == 0)
            server.publish(Fixture.event(label: "siren"))
            server.publish(Fixture.event(label: "dog", score: 0.4))
            server.publish(Fixture.event(label: "dog", source: "line"))
            server.publish(Fixture.event(.offset, label: "dog"))
            server.publish(Fixture.gap())
            server.publish(Fixture.event(label: "dog bark"))
            server.publish(Fixture.event(label: "cat", score: 0.5))
            #expect(try client.message()["label"] as? String == "dog bark")
            #expect(try client.message()["label"] as? String == "cat")
            // A new subscription replaces the old one.
            _ = try client.result(#"{"method":"subscribe"}"#)
            server.publish(Fixture.gap())
            #expect(try client.message()["type"] as? String == "gap")
        }
    }

    @Test func unsubscribedClientGetsRepliesOnly() async throws {
        try await Fixture.withServer { server, path in
            let client = try Fixture.client(path)
            let witness = try Fixture.client(path)
            _ = try client.result(#"{"method":"unsubscribe"}"#)
            server.publish(Fixture.event())
            _ = try witness.message(ofType: "onset")
            try client.send("{\"id\":9,\"method\":\"ping\"}\n")
            #expect(try client.message()["id"] as? Int == 9)
        }
    }

    @Test func topIsSentToThoseWhoAsk() async throws {
        try await Fixture.withServer { server, path in
            let two = try Fixture.client(path)
            let byType = try Fixture.client(path)
            let other = try Fixture.client(path)
            #expect(try two.result(#"{"method":"top","params":{"k":2,"sources":["mic?"]}}"#)["k"] as? Int == 2)
            _ = try byType.result(#"{"method":"subscribe","params":{"types":["top"]}}"#)
            let labels = (0..<8).map { RankedLabel(label: "l\($0)", score: 0.5) }
            let message = TopMessage(source: "mic0", time: .now(), sample: 16_000, levelDecibels: -40, top: labels)
            server.publish(.top(message))
            server.publish(Fixture.event())
            let top = try two.message()
            #expect(top["type"] as? String == "top")
            #expect(top["seq"] == nil)
            #expect(top["sample"] as? Int == 16_000)
            #expect((top["top"] as? [Any])?.count == 2)
            #expect(try two.message()["type"] as? String == "onset")
            #expect((try byType.message()["top"] as? [Any])?.count == SubscriptionFilter.defaultTopCount)
            #expect(try other.message()["type"] as? String == "onset")
            _ = try two.result(#"{"method":"top","params":{"k":0}}"#)
            server.publish(.top(message))
            server.publish(Fixture.event())
            #expect(try two.message()["type"] as? String == "onset")
        }
    }

    @Test func topIsWantedWhileSomeClientAsks() async throws {
        try await Fixture.withServer { server, path in
            let one = try Fixture.client(path)
            let other = try Fixture.client(path)
            let leaving = try Fixture.client(path)
            func ask(_ client: TestClient, _ request: String) throws -> Bool {
                _ = try client.result(request)
                return server.wantsTop
            }
            #expect(!server.wantsTop)
            #expect(try ask(one, #"{"method":"top"}"#))
            #expect(try ask(other, #"{"method":"subscribe","params":{"types":["top","onset"]}}"#))
            #expect(try ask(one, #"{"method":"top","params":{"k":0}}"#))
            #expect(try !ask(other, #"{"method":"subscribe"}"#))
            #expect(try ask(one, #"{"method":"top"}"#))
            #expect(try !ask(one, #"{"method":"unsubscribe"}"#))
            #expect(try ask(leaving, #"{"method":"top","params":{"sources":["elsewhere"]}}"#))
            leaving.close()
            // The server learns of it by itself; each request gives it a turn of its loop to do so.
            for _ in 0..<10_000 where server.wantsTop { _ = try one.result(#"{"method":"ping"}"#) }
            #expect(!server.wantsTop)
            #expect(try ask(one, #"{"method":"top"}"#))
            await server.stop()
            #expect(!server.wantsTop)
        }
    }

    @Test(arguments: [
        ("", "", true), ("", "a", false), ("*", "", true), ("*", "anything", true), ("dog*", "dog", true),
        ("dog*", "dog bark", true), ("dog*", "a dog", false), ("*dog", "a dog", true), ("*o*o*", "foo bor", true),
        ("?", "ü", true), ("?", "", false), ("a?c", "abc", true), ("a?c", "ac", false), ("a*b*c", "a1b2b3c", true),
        ("a*b*c", "a1b2b3", false), ("Dog", "dog", false), ("***", "x", true), ("*a", "aaa", true),
        ("[d]og", "dog", false),
    ])
    func glob(pattern: String, name: String, matches: Bool) {
        #expect(Glob(pattern).matches(name) == matches)
    }

    @Test func globTakesNoExponentialTime() {
        let name = String(repeating: "a", count: 2000)
        #expect(!Glob(String(repeating: "a*", count: 200) + "b").matches(name))
    }

    @Test func eventThatWasLetInIsFollowedToItsOffset() {
        var subscription = Subscription(SubscriptionFilter(minimumScore: 0.5))
        let messages = [
            Fixture.event(.onset, score: 0.4, event: "a"), Fixture.event(.update, score: 0.6, event: "a"),
            Fixture.event(.update, score: 0.3, event: "a"), Fixture.event(.offset, score: 0.3, event: "a"),
            Fixture.event(.offset, score: 0.3, event: "a"), Fixture.event(.onset, score: .nan, event: "b"),
            Fixture.gap(),
        ]
        let verdicts = messages.map { subscription.admits($0.header) }
        #expect(verdicts == [false, true, true, true, false, false, true])
    }
}
