import EventMessages
import Testing

/// What was written is read again.
@Suite struct ReadingTests {
    @Test func eventsSurviveTheirLine() throws {
        var event = EventMessage(
            kind: .offset, event: "mic-x-7", source: "mic", label: "a \"dog\"\n🐕", score: 0.8312,
            onset: Timestamp(millisecondsSinceEpoch: 1_795_253_400_250),
            offset: Timestamp(millisecondsSinceEpoch: 1_795_253_402_001), onsetSample: .max, duration: 1.751,
            levelDecibels: -31.3, top: [RankedLabel(label: "dog", score: 0.5), RankedLabel(label: "cat", score: 1)])
        for (level, offset, reason) in [(-31.3, event.offset, "restart"), (nil, nil, nil)]
            as [(Double?, Timestamp?, String?)]
        {
            event.levelDecibels = level
            event.offset = offset
            event.reason = reason
            let message = SequencedMessage(.event(event), sequence: 9)
            #expect(try EventMessage(line: message.line) == event)
            #expect(message.header.event?.name == "mic-x-7" && message.header.type == .offset)
        }
    }

    @Test(arguments: [
        "", "{", "{}", #"{"type":"gap"}"#,
        #"{"type":"onset","event":"e","source":"s","label":"l","onset":"yesterday"}"#,
    ])
    func otherLinesAreRefused(line: String) {
        #expect(throws: (any Error).self) { try EventMessage(line: Array(line.utf8)) }
    }

    @Test func timestampsAreRead() {
        for milliseconds in [0, 1, 999, -1, 1_795_253_400_250, 951_782_400_000, 253_402_300_799_999] as [Int64] {
            let time = Timestamp(millisecondsSinceEpoch: milliseconds)
            #expect(Timestamp(time.description) == time, "\(time)")
        }
        for text in ["", "2026", "2026-11-21T09:30:00", "x2026-11-21T09:30:00.250Z"] {
            #expect(Timestamp(text) == nil, "\(text)")
        }
    }
}
