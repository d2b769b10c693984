import EventMessages
import Foundation
import Testing

@testable import EventServer

/// Requests and replies over a real socket.
@Suite struct ProtocolTests {
    @Test func helloComesFirst() async throws {
        try await Fixture.withServer({ $0.firstSequence = 41 }) { server, path in
            let witness = try TestClient(path)
            #expect(try witness.message()["seq"] as? Int == 40)
            server.publish(Fixture.gap())
            #expect(try witness.message()["seq"] as? Int == 41)
            let hello = try TestClient(path).message()
            #expect(hello["type"] as? String == "hello")
            #expect(hello["protocol"] as? Int == 1)
            #expect(hello["version"] as? String == "1.2.3")
            #expect(hello["model"] as? String == "test")
            #expect(hello["labels"] as? [String] == ["dog", "siren"])
            #expect(hello["sources"] as? [String] == ["mic0"])
            #expect(hello["seq"] as? Int == 41)
        }
    }

    @Test func eachClientGetsExactlyWhatComesAfterItsHello() async throws {
        try await Fixture.withServer { server, path in
            let publisher = Thread { for _ in 0..<3000 { server.publish(Fixture.gap()) } }
            publisher.start()
            for _ in 0..<50 {
                let client = try TestClient(path)
                let last = try #require(try client.message()["seq"] as? Int)
                server.publish(Fixture.gap())
                #expect(try client.message()["seq"] as? Int == last + 1)
            }
        }
    }

    @Test func silentClientGetsEverythingButTop() async throws {
        try await Fixture.withServer { server, path in
            let client = try Fixture.client(path)
            #expect(server.publish(Fixture.event()) == 1)
            #expect(server.publish(.top(TopMessage(source: "mic0", time: .now(), sample: 1, top: []))) == nil)
            #expect(server.publish(Fixture.event(.offset)) == 2)
            #expect(server.publish(Fixture.gap()) == 3)
            server.publish(.source(SourceMessage(source: "mic0", state: .down, time: .now(), reason: "unplugged")))
            #expect(server.lastSequence == 4)

            let onset = try client.message()
            #expect(onset["type"] as? String == "onset")
            #expect(onset["seq"] as? Int == 1)
            #expect(onset["event"] as? String == "e1")
            #expect(onset["source"] as? String == "mic0")
            #expect(onset["label"] as? String == "dog")
            #expect(onset["score"] as? Double == 0.83)
            #expect(onset["onset"] as? String == "2026-11-21T09:30:00.250Z")
            #expect(onset["offset"] is NSNull)
            #expect(onset["onset_sample"] as? Int == 512_000)
            #expect(onset["duration"] as? Double == 1.75)
            #expect(onset["level_dbfs"] as? Double == -31.3)
            #expect((onset["top"] as? [[String: Any]])?.map { $0["label"] as? String } == ["dog", "siren"])
            let offset = try client.message()
            #expect(offset["type"] as? String == "offset")
            #expect(offset["offset"] as? String == "2026-11-21T09:30:02.000Z")
            let gap = try client.message()
            #expect(gap["type"] as? String == "gap")
            #expect(gap["from"] as? String == "1970-01-01T00:00:01.000Z")
            #expect(gap["to"] as? String == "1970-01-01T00:00:01.500Z")
            #expect(gap["from_sample"] as? Int == 32_000)
            #expect(gap["duration"] as? Double == 0.5)
            #expect(gap["reason"] as? String == "overrun")
            let source = try client.message()
            #expect(source["type"] as? String == "source")
            #expect(source["state"] as? String == "down")
            #expect(source["reason"] as? String == "unplugged")
            #expect(source["seq"] as? Int == 4)
        }
    }

    @Test(arguments: [
        ("1", "1"), ("-7", "-7"), ("1.50", "1.5"), ("9223372036854775807", "9223372036854775807"), ("\"a\"", "\"a\""),
        ("\"ü\\n\\\"\"", "\"ü\\u000a\\\"\""), ("true", "true"), ("null", "null"), ("\"\"", "\"\""),
    ])
    func idIsEchoed(id: String, echo: String) async throws {
        try await Fixture.withServer { _, path in
            let client = try Fixture.client(path)
            try client.send("{\"method\":\"ping\",\"id\": \(id) }\n")
            let line = try #require(try client.line())
            #expect(line.hasPrefix("{\"id\":\(echo),\"result\":{\"pong\":true,"), "\(line)")
            try client.send("{\"id\":\(id),\"method\":\"dance\"}\n")
            #expect(try #require(try client.line()).hasPrefix("{\"id\":\(echo),\"error\":{\"code\":\"unknown_method\""))
        }
    }

    @Test func statusLabelsAndPing() async throws {
        try await Fixture.withServer { _, path in
            let client = try Fixture.client(path)
            let other = try Fixture.client(path)
            let status = try client.result(#"{"id":1,"method":"status","params":{"connections":true}}"#)
            #expect(status["model"] as? String == "test")
            #expect(status["audio_seconds"] as? Double == 12.5)
            let server = try #require(status["server"] as? [String: Any])
            #expect(server["clients"] as? Int == 2)
            #expect(server["lagged"] as? Int == 0)
            #expect(server["closed_slow"] as? Int == 0)
            #expect(server["refused"] as? Int == 0)
            #expect((status["client"] as? [String: Any])?["missed"] as? Int == 0)
            #expect((status["connections"] as? [[String: Any]])?.count == 2)
            let labels = try client.result(#"{"id":2,"method":"labels"}"#)["labels"] as? [[String: Any]]
            #expect(labels?.first?["label"] as? String == "dog")
            #expect(labels?.first?["threshold"] as? Double == 0.5)
            #expect(try other.result(#"{"id":"x","method":"ping","params":null}"#)["pong"] as? Bool == true)
        }
    }

    struct BadRequest: Sendable, CustomTestStringConvertible {
        let line: String
        let code: String
        var field: String?
        var testDescription: String { line }

        init(_ line: String, _ code: String, _ field: String? = nil) {
            self.line = line
            self.code = code
            self.field = field
        }
    }

    @Test func badRequestsAreAnsweredAndTheConnectionStays() async throws {
        let requests = [
            BadRequest("nonsense", "parse_error"),
            BadRequest("{\"id\":1,", "parse_error"),
            BadRequest("{\"id\":1}}", "parse_error"),
            BadRequest("\u{0}\u{1}\u{2}", "parse_error"),
            BadRequest(String(repeating: "[", count: 64 * 1024), "parse_error"),
            BadRequest(String(repeating: "[", count: 10_000) + String(repeating: "]", count: 10_000), "parse_error"),
            BadRequest(String(repeating: "[", count: 513), "parse_error"),
            BadRequest(String(repeating: "[", count: 32) + "1" + String(repeating: "]", count: 32), "invalid_request"),
            BadRequest("{\"id\":1,\"method\":\"\\ud800\"}", "parse_error"),
            // Read one by one, so many values would keep all other clients waiting for a second.
            BadRequest("{\"id\":1,\"x\":[" + String(repeating: "1,", count: 30_000) + "1]}", "parse_error"),
            BadRequest("[1,2]", "invalid_request"),
            BadRequest("7", "invalid_request"),
            BadRequest("{}", "invalid_request", "method"),
            BadRequest("{\"method\":3}", "invalid_request", "method"),
            BadRequest("{\"id\":[1],\"method\":\"ping\"}", "invalid_request", "id"),
            BadRequest("{\"method\":\"subscribe\",\"labels\":[\"dog\"]}", "invalid_request", "labels"),
            BadRequest("{\"method\":\"Status\"}", "unknown_method"),
            BadRequest("{\"method\":\"ping\",\"params\":[1]}", "invalid_params", "params"),
            BadRequest("{\"method\":\"ping\",\"params\":{\"a\":1}}", "invalid_params", "a"),
            BadRequest(#"{"method":"subscribe","params":{"labels":"dog"}}"#, "invalid_params", "labels"),
            BadRequest(#"{"method":"subscribe","params":{"labels":["dog",7]}}"#, "invalid_params", "labels[1]"),
            BadRequest(#"{"method":"subscribe","params":{"sources":{}}}"#, "invalid_params", "sources"),
            BadRequest(#"{"method":"subscribe","params":{"min_score":"high"}}"#, "invalid_params", "min_score"),
            BadRequest(#"{"method":"subscribe","params":{"min_score":1e999}}"#, "parse_error"),
            BadRequest(#"{"method":"subscribe","params":{"types":["onsets"]}}"#, "invalid_params", "types[0]"),
            BadRequest(#"{"method":"subscribe","params":{"label":["dog"]}}"#, "invalid_params", "label"),
            BadRequest(#"{"method":"subscribe","params":{"since":12}}"#, "unsupported", "since"),
            BadRequest(#"{"method":"top","params":{"k":1000}}"#, "invalid_params", "k"),
            BadRequest(#"{"method":"top","params":{"k":2.5}}"#, "invalid_params", "k"),
            BadRequest(#"{"method":"status","params":{"connections":1}}"#, "invalid_params", "connections"),
        ]
        try await Fixture.withServer { server, path in
            let client = try Fixture.client(path)
            for request in requests {
                try client.send(request.line + "\n")
                let error = try client.error()
                #expect(error.code == request.code, "\(request.line.prefix(80))")
                #expect(error.field == request.field, "\(request.line.prefix(80))")
                if let field = request.field { #expect(error.message.contains(field), "\(error.message)") }
            }
            let status = try client.result(#"{"method":"status"}"#)
            #expect((status["server"] as? [String: Any])?["request_errors"] as? Int == requests.count)
            server.publish(Fixture.event())
            #expect(try client.message()["type"] as? String == "onset")
        }
    }

    @Test func invalidUTF8IsAnsweredAndTheConnectionStays() async throws {
        try await Fixture.withServer { _, path in
            let client = try Fixture.client(path)
            try client.send(Array("{\"id\":1,\"method\":\"".utf8) + [0xC3, 0x28, 0xFF] + Array("\"}\n".utf8))
            #expect(try client.error().code == "invalid_utf8")
            #expect(try client.result(#"{"method":"ping"}"#)["pong"] as? Bool == true)
        }
    }

    @Test func tenMegabyteLineIsSkippedInBoundedMemory() async throws {
        try await Fixture.withServer { _, path in
            let client = try Fixture.client(path)
            try client.send([UInt8](repeating: UInt8(ascii: "x"), count: 10 * 1024 * 1024))
            try client.send("\n{\"id\":2,\"method\":\"ping\"}\n")
            #expect(try client.error().code == "line_too_long")
            #expect(try client.reply()["id"] as? Int == 2)
            // The longest allowed line is read.
            let request = #"{"id":3,"method":"ping"}"#
            try client.send(request + String(repeating: " ", count: 64 * 1024 - request.utf8.count) + "\n")
            #expect(try client.reply()["id"] as? Int == 3)
            try client.send(request + String(repeating: " ", count: 64 * 1024 - request.utf8.count + 1) + "\n")
            #expect(try client.error().code == "line_too_long")
        }
    }

    @Test func requestsInOneWriteAndOneRequestInManyWrites() async throws {
        try await Fixture.withServer { _, path in
            let client = try Fixture.client(path)
            try client.send("{\"id\":1,\"method\":\"ping\"}\n\r\n  \n{\"id\":2,\"method\":\"ping\"}\r\n")
            #expect(try client.reply()["id"] as? Int == 1)
            #expect(try client.reply()["id"] as? Int == 2)
            for byte in Array("{\"id\":\"ü3\",\"method\":\"ping\"}\n".utf8) { try client.send([byte]) }
            #expect(try client.reply()["id"] as? String == "ü3")
        }
    }

    @Test func halfClosedClientGetsItsReplyAndThenEvents() async throws {
        try await Fixture.withServer { server, path in
            let client = try TestClient(path)
            // The last request may lack its newline.
            try client.send("{\"id\":1,\"method\":\"ping\"}\n{\"id\":2,\"method\":\"ping\"}")
            client.shutdownWriting()
            #expect(try client.reply()["id"] as? Int == 1)
            #expect(try client.reply()["id"] as? Int == 2)
            for _ in 0..<3 { server.publish(Fixture.event()) }
            for sequence in 1...3 { #expect(try client.message()["seq"] as? Int == sequence) }
        }
    }

    @Test func clientThatIsGoneIsCleanedUp() async throws {
        try await Fixture.withServer { server, path in
            let watcher = try Fixture.client(path)
            let full = try Fixture.client(path)
            let half = try Fixture.client(path)
            half.shutdownWriting()
            let status = try watcher.result(#"{"method":"status"}"#)
            #expect((status["server"] as? [String: Any])?["clients"] as? Int == 3)
            full.close()
            half.close()
            // The server learns of it by itself; each request gives it a turn of its loop to do so.
            var clients = 3
            var turns = 0
            while clients > 1, turns < 10_000 {
                let status = try watcher.result(#"{"method":"status"}"#)
                clients = try #require((status["server"] as? [String: Any])?["clients"] as? Int)
                turns += 1
            }
            #expect(clients == 1)
            server.publish(Fixture.event())
            #expect(try watcher.message()["seq"] as? Int == 1)
        }
    }

    @Test func clientsBeyondTheLimitAreToldAndClosed() async throws {
        try await Fixture.withServer({ $0.maximumClients = 2 }) { _, path in
            let first = try Fixture.client(path)
            let second = try Fixture.client(path)
            let third = try TestClient(path)
            #expect(try third.error().code == "too_many_clients")
            #expect(try third.line() == nil)
            let status = try first.result(#"{"method":"status"}"#)
            #expect((status["server"] as? [String: Any])?["refused"] as? Int == 1)
            _ = second
        }
    }

    @Test func netcatIsACompleteClient() async throws {
        guard access("/bin/nc.openbsd", X_OK) == 0 else {
            print("skipped: netcatIsACompleteClient needs netcat-openbsd")
            return
        }
        try await Fixture.withServer { _, path in
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments = [
                "-c", #"printf '{"id":1,"method":"status"}\n' | nc.openbsd -U -N "$0" | head -n 2"#, path,
            ]
            let pipe = Pipe()
            process.standardOutput = pipe
            try process.run()
            let lines = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
                .split(separator: "\n")
            #expect(lines.count == 2)
            #expect(lines.last?.hasPrefix(#"{"id":1,"result":{"#) == true)
            kill(process.processIdentifier, SIGTERM)
        }
    }
}
