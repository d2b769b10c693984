import EventMessages
import Foundation
import NIOCore
import Testing

@testable import EventServer

/// The parts without a socket: timestamps, JSON, lines, queues.
@Suite struct EncodingTests {
    @Test func timestampsKeepTheirMillisecond() throws {
        let formatter = ISO8601DateFormatter()
        formatter.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<2000 {
            let milliseconds = Int64.random(in: -2_000_000_000_000...16_725_225_600_000, using: &generator)
            let text = Timestamp(millisecondsSinceEpoch: milliseconds).description
            let date = try #require(formatter.date(from: text), "\(text)")
            #expect(text.utf8.count == 24 && text.hasSuffix("Z"))
            #expect(Int64((date.timeIntervalSince1970 * 1000).rounded()) == milliseconds, "\(text)")
        }
        #expect(Timestamp(millisecondsSinceEpoch: -1).description == "1969-12-31T23:59:59.999Z")
        #expect(Timestamp(millisecondsSinceEpoch: 951_782_400_000).description == "2000-02-29T00:00:00.000Z")
        #expect(Timestamp(millisecondsSinceEpoch: 1_795_253_400_250).description == "2026-11-21T09:30:00.250Z")
        #expect(Timestamp(secondsSinceEpoch: 1.2345).millisecondsSinceEpoch == 1235)
        #expect(Timestamp(secondsSinceEpoch: .infinity).description.hasPrefix("9999-12-31"))
        #expect(Timestamp(secondsSinceEpoch: .nan).millisecondsSinceEpoch == 0)
    }

    @Test func valuesThatAreNotNumbersAreNull() throws {
        var event = EventMessage(
            kind: .update, event: "x", source: "s", label: "l", score: .nan, onset: .now(), onsetSample: 0,
            duration: .infinity, levelDecibels: -.infinity)
        event.top = [RankedLabel(label: "a", score: -.nan)]
        let line = String(decoding: ServerMessage.event(event).line(sequence: nil), as: UTF8.self)
        let object = try TestClient.object(line)
        #expect(object["score"] is NSNull && object["duration"] is NSNull && object["level_dbfs"] is NSNull)
        #expect(object["seq"] == nil)
        #expect(!line.lowercased().contains("nan") && !line.contains("inf"))
    }

    @Test func stringsSurviveAndNeverEndTheLine() throws {
        let text = "a\"b\\c\n\r\t\u{0}\u{1F}\u{7F}\u{2028}ü日本🐕</script>"
        var event = EventMessage(
            kind: .onset, event: text, source: text, label: text, score: 1, onset: .now(), onsetSample: .max,
            duration: 1e-9)
        event.score = 1.0 / 3
        let line = ServerMessage.event(event).line(sequence: .max)
        #expect(line.filter { $0 == UInt8(ascii: "\n") }.count == 1 && line.last == UInt8(ascii: "\n"))
        let object = try TestClient.object(String(decoding: line, as: UTF8.self))
        #expect(object["label"] as? String == text)
        #expect(object["score"] as? Double == 0.3333)
        #expect(object["seq"] as? Int64 == .max)
    }

    @Test(arguments: [
        #"{"a":[1,-2.5e+3,true,false,null,"\u00e9\ud83d\ude00\/\b\f"],"b":{},"c":null}"#, " [ ] ", "\"\"", "0",
        "-0.0e-0",
        "[[[[]]]]", "{\"\":0}", "1E5", "[null]", "9223372036854775807",
        "-9223372036854775808",
        "5e-324", "1.7976931348623157e308",
    ])
    func whatIsReadIsWrittenWithTheSameValue(text: String) throws {
        let line = try JSONValue(text: Array(text.utf8)).line
        let ours = try JSONSerialization.jsonObject(with: Data(line), options: .fragmentsAllowed) as? NSObject
        let theirs = try JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed) as? NSObject
        #expect(ours == theirs)
    }

    @Test func numbersAreWholeWhereTheyCanBe() throws {
        func value(_ text: String) throws -> JSONValue { try JSONValue(text: Array(text.utf8)) }
        #expect(try value("9223372036854775807") == .integer(.max))
        #expect(try value("9223372036854775808") == .number(9_223_372_036_854_775_808))
        #expect(try value("1.50") == .number(1.5))
        #expect(try value("true") == true)
        #expect(try value("1") == 1)
    }

    @Test(arguments: [
        "", " ", "{", "}", "{a:1}", "01", "1.", ".5", "+1", "1e", "tru", "nulll", "\"", "\"\\x\"", "\"\\u12g4\"",
        "\"\\ud800x\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"a\tb\"", "[1 2]", "{\"a\" 1}", "'a'", "1 1", "NaN",
        "-", "-Infinity", "[", "\"\\", "\"\\u00", "1e400", "{\"a\":[1,-1e999]}",
    ])
    func whatIsNotJSONIsRefused(text: String) {
        #expect(throws: DecodingError.self) { try JSONValue(text: Array(text.utf8)) }
    }

    @Test(arguments: [33, 512, 513, 514, 10_000, 65_536])
    func deepNestingIsRefused(depth: Int) {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let text = String(repeating: open, count: depth) + "0" + String(repeating: close, count: depth)
            #expect(throws: DecodingError.self) { try JSONValue(text: Array(text.utf8)) }
            #expect(throws: DecodingError.self) {
                try JSONValue(text: Array(String(repeating: open, count: depth).utf8))
            }
        }
    }

    @Test func requestsLiveThroughMutations() throws {
        let seed = Array(
            #"{"id":1,"method":"subscribe","params":{"labels":["dog*","\u00fc"],"min_score":0.5e-1}}"#.utf8)
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<20_000 {
            var bytes = seed
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.remove(at: index)
                default: bytes.insert(bytes[Int.random(in: 0..<bytes.count, using: &generator)], at: index)
                }
            }
            _ = try? Request(line: bytes)
        }
    }

    @Test(arguments: [1, 3, 7, 64, 10_000])
    func linesDoNotDependOnChunks(size: Int) {
        let text =
            "one\n\ntwo\r\n" + String(repeating: "x", count: 50) + "\nthree\n" + String(repeating: "y", count: 20)
        var framer = LineFramer(maximumLength: 20)
        var lines: [LineFramer.Line] = []
        var unread = Array(text.utf8)[...]
        while !unread.isEmpty {
            var buffer = ByteBuffer(bytes: unread.prefix(size))
            unread = unread.dropFirst(size)
            framer.append(&buffer)
            while let line = framer.next() { lines.append(line) }
            #expect(framer.heldByteCount <= 20)
        }
        if let line = framer.remainder() { lines.append(line) }
        func line(_ text: String) -> LineFramer.Line { .line(Array(text.utf8)) }
        #expect(
            lines == [
                line("one"), line(""), line("two\r"), .tooLong, line("three"), line(String(repeating: "y", count: 20)),
            ])
        let rest = framer.remainder()
        #expect(rest == nil)
    }

    @Test func queueDropsTheOldestAndMarksTheHole() {
        var queue = ClientQueue(limit: 3)
        for sequence in 5...7 {
            let dropped = queue.append(Broadcast(SequencedMessage(Fixture.event(), sequence: Int64(sequence))))
            #expect(!dropped)
        }
        let dropped = [8, 10].map { queue.append(Broadcast(SequencedMessage(Fixture.event(), sequence: $0))) }
        #expect(dropped == [true, true])
        guard case .lagged(let lagged)? = queue.next() else {
            Issue.record("no hole")
            return
        }
        #expect(lagged == LaggedMessage(missed: 2, resume: 4))
        #expect(
            String(decoding: lagged.line, as: UTF8.self)
                == "{\"type\":\"lagged\",\"missed\":2,\"resume\":4,\"lost\":false}\n")
        var rest: [Int64] = []
        while case .message(let message)? = queue.next() { rest.append(message.sequence) }
        #expect(rest == [7, 8, 10])
        #expect(queue.isEmpty)
        // What is lost on the way takes what waits with it, being newer.
        _ = queue.append(Broadcast(SequencedMessage(Fixture.event(), sequence: 11)))
        let missed = queue.skip(count: 4, firstSequence: 12)
        #expect(missed == 5)
        if case .lagged(let lagged)? = queue.next() { #expect(lagged == LaggedMessage(missed: 5, resume: 10)) }
    }

    @Test func mailboxKeepsTheNewest() {
        let mailbox = Mailbox(limit: 4, firstSequence: 1)
        #expect(mailbox.put(Fixture.event()).sequence == 1)
        #expect(mailbox.take().isEmpty, "closed: nobody is there")
        let last = mailbox.open()
        #expect(last == 1)
        #expect(mailbox.put(Fixture.event()).mustNotify)
        for _ in 0..<9 { #expect(!mailbox.put(Fixture.event()).mustNotify) }
        let sequences = mailbox.take().map {
            if case .numbered(let message) = $0 { message.sequence } else { Int64(0) }
        }
        #expect(sequences == [8, 9, 10, 11])
        #expect(mailbox.put(Fixture.event()).mustNotify)
    }
}
