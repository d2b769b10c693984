import DetectionPipeline
import Foundation
import Labels
import TestSupport
import Testing

@Suite struct StreamDetectorTests {
    /// Thresholds so low that any step that is not silent is an event.
    private func detector(_ names: [String] = ["dog"], threshold: Float = 0.01) throws -> StreamDetector {
        var settings = try DetectionSettings(Fixture.model())
        settings.setThreshold(threshold)
        return try StreamDetector(Fixture.model(), labels: Fixture.labels(names), settings: settings)
    }

    /// Onset and offset in turns, each offset of the event before it.
    private func expectPairs(_ events: [EventReport], sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(events.count % 2 == 0, "\(events)", sourceLocation: sourceLocation)
        for (onset, offset) in zip(events, events.dropFirst()) where onset.kind == .onset {
            #expect(offset.kind == .offset && offset.number == onset.number, sourceLocation: sourceLocation)
            #expect(offset.offsetSample! >= onset.onsetSample, "\(offset)", sourceLocation: sourceLocation)
            #expect(onset.offsetSample == nil && (0...1).contains(onset.score), sourceLocation: sourceLocation)
        }
    }

    static let quiet: [(name: String, samples: [Float])] = [
        ("digital silence", silence(seconds: 12)), ("a constant", [Float](repeating: -0.3, count: 300_001)),
        ("full scale", [Float](repeating: 1, count: 300_000)),
        ("the last bit of 16-bit audio", (0..<300_000).map { Float($0 % 2) / 32_768 }),
        ("noise at -95 dBFS", noise(seconds: 12, amplitude: 3e-5)),
        ("subnormals", noise(seconds: 12, amplitude: .leastNormalMagnitude)),
        ("nothing at all", []), ("one sample", [0.5]), ("NaN", [Float](repeating: .nan, count: 100_000)),
    ]

    @Test(arguments: quiet.indices) func silenceIsNoEvent(index: Int) throws {
        let (name, samples) = Self.quiet[index]
        var detector = try detector(["dog", "rain"])
        let events = detector.events(samples) + detector.finished()
        #expect(events.isEmpty, "\(name): \(events)")
    }

    @Test(arguments: [1280, 32_000]) func soundsAreEvents(chunk: Int) throws {
        var detector = try detector()
        let audio = silence(seconds: 3) + noise(seconds: 2) + silence(seconds: 4) + noise(seconds: 1)
        let events = detector.events(audio, chunk: chunk) + detector.finished()
        expectPairs(events)
        try #require(events.count == 4, "\(events)")
        #expect(abs(Double(events[1].onsetSample) / 32_000 - 3) < 1)
        #expect(abs(Double(events[1].offsetSample!) / 32_000 - 5) < 1)
        #expect(abs(Double(events[3].onsetSample) / 32_000 - 9) < 1)
        #expect(events[3].offsetSample! <= audio.count, "no event ends after the recording")
        #expect(events.map(\.number) == [0, 0, 1, 1])
        #expect(detector.clock == audio.count)
        // The onset is told before the sound is over.
        #expect(events[0].reportedSample < 5 * 32_000)
        #expect(events[0].top.map(\.label) == ["dog"])
    }

    @Test func aShortRecordingIsDecidedAtItsEnd() throws {
        var detector = try detector()
        let events = detector.events(noise(seconds: 0.5))
        #expect(events.isEmpty, "nothing is known before the encoder's lookahead is over")
        let rest = detector.finished()
        expectPairs(rest)
        #expect(rest.count == 2)
        #expect(rest.allSatisfy { $0.onsetSample == 0 && $0.offsetSample ?? 0 <= 16_000 }, "\(rest)")
    }

    @Test func lostAudioEndsEventsAndTheClockGoesOn() throws {
        var detector = try detector()
        var events = detector.events(noise(seconds: 4))
        #expect(events.map(\.kind) == [.onset])
        events += detector.skipped(320_000)
        #expect(events.map(\.kind) == [.onset, .offset])
        #expect(events[1].offsetSample! <= 4 * 32_000, "\(events[1])")
        #expect(detector.clock == 14 * 32_000)
        let after = detector.events(noise(seconds: 4, seed: 2)) + detector.finished()
        expectPairs(after)
        #expect(after.count == 2)
        #expect(
            after.allSatisfy { $0.onsetSample >= 14 * 32_000 }, "no event begins before the audio went on: \(after)")
        #expect(after.last!.offsetSample! <= 18 * 32_000)
        #expect((events + after).allSatisfy { $0.score.isFinite })
        #expect(detector.clock == 18 * 32_000)
    }

    /// Short stretches between many losses: each is decided for itself.
    @Test func manyLossesInARow() throws {
        var detector = try detector()
        var events: [EventReport] = []
        for turn in 0..<50 {
            events += detector.events(noise(seconds: 0.2, seed: UInt64(turn)))
            events += detector.skipped(1 + turn * 7)
        }
        #expect(detector.clock == 50 * 6400 + (0..<50).reduce(0) { $0 + 1 + $1 * 7 })
        events += detector.events(noise(seconds: 3)) + detector.finished()
        expectPairs(events)
        #expect(events.count == 2 * 51)
    }

    @Test func otherLabelsFromTheNextStepOn() throws {
        let model = try Fixture.model()
        var detector = try detector()
        var events = detector.events(noise(seconds: 4))
        #expect(events.map(\.label) == ["dog"])
        var closing: [EventReport] = []
        var settings = try DetectionSettings(model)
        settings.setThreshold(0.3)
        try detector.replace(labels: Fixture.labels(["rain", "siren"]), settings: settings) {
            if case .event(let event) = $0 { closing.append(event) }
        }
        #expect(closing.map(\.kind) == [.offset] && closing.map(\.label) == ["dog"])
        #expect(detector.labels.names == ["rain", "siren"])
        // The audio heard so far stays: there is no pause until the next step.
        events = detector.events(noise(seconds: 2, seed: 5))
        #expect(events.first?.kind == .onset)
        #expect(events.allSatisfy { ["rain", "siren"].contains($0.label) && $0.number >= 1 })
        #expect(events.first.map { $0.onsetSample < 5 * 32_000 } == true, "\(events)")
        let rest = detector.finished()
        #expect(
            (events + rest).filter { $0.kind == .onset }.count == (events + rest).filter { $0.kind == .offset }.count)
    }

    /// A reload does not make a label forget that it was just heard, unless it is a new one in effect.
    @Test(arguments: [false, true]) func labelsThatStayKeepTheirCooldown(changes: Bool) throws {
        var settings = try DetectionSettings(Fixture.model())
        settings.setThreshold(0.01)
        settings.cooldown = 60
        var detector = try StreamDetector(
            Fixture.model(), labels: Fixture.compile([Fixture.entry("rain"), Fixture.entry("dog")]), settings: settings)
        let before = detector.events(noise(seconds: 2) + silence(seconds: 4))
        #expect(before.contains { $0.label == "dog" && $0.kind == .offset }, "\(before)")
        try detector.replace(
            labels: Fixture.compile([Fixture.entry("dog", hasTwoPrompts: changes)]), settings: settings
        ) { _ in }
        let after = detector.events(noise(seconds: 3, seed: 4)) + detector.finished()
        #expect(after.isEmpty != changes, "\(after)")
    }

    @Test func aPausedDetectorScoresNothingAndAWidenedOneSomeWindows() throws {
        var detector = try detector()
        detector.isPaused = true
        #expect(detector.events(noise(seconds: 4)).isEmpty)
        detector.isPaused = false
        detector.windowStride = 4
        let events = detector.events(noise(seconds: 4, seed: 2)) + detector.finished()
        expectPairs(events)
        #expect(events.first.map { abs(Double($0.onsetSample) / 32_000 - 4) < 1 } == true, "\(events)")
        // 25 windows of 160 ms in 4 s, and those of the end.
        #expect((18...30).contains(detector.skippedWindows), "\(detector.skippedWindows)")
    }

    @Test func labelsHaveTheirOwnThresholds() throws {
        let model = try Fixture.model()
        // The shares of two labels sum to 1: of one with an impossible threshold there is never an event.
        let labels = try Fixture.compile([
            Fixture.entry("dog", threshold: 1.5), Fixture.entry("rain", threshold: 1e-30),
        ])
        var detector = try StreamDetector(model, labels: labels, settings: DetectionSettings(model))
        let events = detector.events(noise(seconds: 5)) + detector.finished()
        #expect(events.map(\.label) == ["rain", "rain"])
    }

    @Test func ranksEveryStepForThoseWhoAsk() throws {
        var detector = try detector(Fixture.names)
        detector.reportsTop = true
        var rankings: [(sample: Int64, ranking: [LabelShare])] = []
        forEachChunk(of: silence(seconds: 4) + noise(seconds: 3), 5000) { samples in
            detector.process(samples) {
                if case .top(let sample, _, let ranking) = $0 { rankings.append((sample, ranking)) }
            }
        }
        #expect(rankings.count > 30)
        #expect(rankings.contains { $0.ranking.isEmpty } && rankings.contains { $0.ranking.count == 5 })
        for (_, ranking) in rankings where !ranking.isEmpty {
            #expect(abs(ranking.reduce(0) { $0 + $1.share } - 1) < 1e-4)
            #expect(zip(ranking, ranking.dropFirst()).allSatisfy { $0.share >= $1.share })
        }
        #expect(zip(rankings, rankings.dropFirst()).allSatisfy { $1.sample - $0.sample == 5120 })
    }

    @Test(arguments: [Float.nan, .infinity]) func wildSamplesAreOneInterruption(value: Float) throws {
        var audio = silence(seconds: 3) + noise(seconds: 2) + silence(seconds: 3)
        for index in 4000..<9000 { audio[index] = value }
        var detector = try detector()
        let events = detector.events(audio + audio) + detector.finished()
        expectPairs(events)
        #expect(events.count >= 4 && events.allSatisfy { $0.score.isFinite && !$0.levelDecibels.isNaN }, "\(events)")
    }
}
