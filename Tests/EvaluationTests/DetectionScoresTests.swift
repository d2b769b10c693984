import Evaluation
import Testing

/// Event-based and segment-based scores against sed_eval, by hand, and by properties.
@Suite struct DetectionScoresTests {
    struct Cases: Decodable {
        let cases: [Case]
    }

    struct Case: Decodable {
        let name: String
        let truth: [GoldenEvent]
        let estimate: [GoldenEvent]
        let scores: [String: Scores]
    }

    struct Scores: Decodable {
        let overall: Figures
        let average: Figures
        let classWise: [String: Figures]

        enum CodingKeys: String, CodingKey {
            case overall, average
            case classWise = "class_wise"
        }
    }

    struct Figures: Decodable {
        let f1: Double?
        let precision: Double?
        let recall: Double?

        enum CodingKeys: String, CodingKey {
            case f1 = "f_measure"
            case precision, recall
        }
    }

    @Test func equalsSedEval() throws {
        let cases = try Golden.load("events", as: Cases.self).cases
        #expect(cases.count > 15)
        for golden in cases {
            let truth = golden.truth.map(\.event)
            let estimate = golden.estimate.map(\.event)
            for (name, expected) in golden.scores {
                let parts = name.split(separator: " ")
                let parameter = try #require(Double(parts[1]))
                let scores =
                    parts[0] == "event"
                    ? EventBasedMetrics(collar: parameter).evaluate(reference: truth, estimated: estimate)
                    : SegmentBasedMetrics(timeResolution: parameter).evaluate(reference: truth, estimated: estimate)
                let context = "\(golden.name), \(name)"
                expectClose(scores.overall.f1, expected.overall.f1, "\(context): micro F1")
                expectClose(scores.overall.precision, expected.overall.precision, "\(context): micro precision")
                expectClose(scores.overall.recall, expected.overall.recall, "\(context): micro recall")
                expectClose(scores.macroF1, expected.average.f1, "\(context): macro F1")
                expectClose(scores.macroPrecision, expected.average.precision, "\(context): macro precision")
                expectClose(scores.macroRecall, expected.average.recall, "\(context): macro recall")
                #expect(scores.labels == expected.classWise.keys.sorted(), "\(context)")
                for (label, figures) in expected.classWise {
                    expectClose(scores.classWise[label]?.f1, figures.f1, "\(context): F1 of \(label)")
                    expectClose(
                        scores.classWise[label]?.precision, figures.precision, "\(context): precision of \(label)")
                    expectClose(scores.classWise[label]?.recall, figures.recall, "\(context): recall of \(label)")
                }
            }
        }
    }

    @Test func countsByHand() throws {
        let truth = [event(1, 2), event(5, 6), event(1, 3, "rain"), event(0, 1, "crow", in: "b.wav")]
        // One dog in time, one dog late, rain with its offset in time by length, nothing of the crow, a false siren.
        let estimate = [event(1.1, 2.1), event(5.3, 6), event(1, 3.9, "rain"), event(8, 9, "siren")]
        let scores = EventBasedMetrics(collar: 0.2).evaluate(reference: truth, estimated: estimate)
        #expect(scores.overall == DetectionCounts(referenceCount: 4, estimatedCount: 4, truePositiveCount: 2))
        #expect(scores.overall.falsePositiveCount == 2)
        #expect(scores.overall.falseNegativeCount == 2)
        #expect(scores.overall.f1 == 0.5)
        #expect(scores.classWise["dog"]?.f1 == 0.5)
        #expect(scores.classWise["rain"]?.f1 == 1)
        #expect(scores.classWise["crow"]?.f1 == 0)
        #expect(scores.classWise["siren"]?.f1 == nil)
        expectClose(scores.macroF1, 0.5, "dog .5, rain 1, crow 0")
        expectClose(scores.macroPrecision, (0.5 + 1 + 0 + 0) / 4, "a label never reported has precision 0")

        let segments = SegmentBasedMetrics().evaluate(
            reference: [event(0.9, 3)], estimated: [event(2, 2.5), event(2.4, 4.1)])
        #expect(segments.overall == DetectionCounts(referenceCount: 3, estimatedCount: 3, truePositiveCount: 1))
    }

    @Test func eachEventCountsOnce() {
        let scores = EventBasedMetrics().evaluate(
            reference: [event(1, 2)], estimated: [event(1, 2), event(1.05, 2), event(0.9, 2)])
        #expect(scores.overall == DetectionCounts(referenceCount: 1, estimatedCount: 3, truePositiveCount: 1))
    }

    @Test func undefinedFiguresAreNil() {
        for scores in [
            EventBasedMetrics().evaluate(reference: [], estimated: []),
            SegmentBasedMetrics().evaluate(reference: [], estimated: []),
        ] {
            #expect(scores.overall.precision == 0)
            #expect(scores.overall.recall == nil)
            #expect(scores.overall.f1 == nil)
            #expect(scores.macroF1 == nil)
            #expect(scores.macroPrecision == nil)
            #expect(scores.labels == [])
        }
        let falseAlarms = EventBasedMetrics().evaluate(reference: [], estimated: [event(1, 2)])
        #expect(falseAlarms.overall.f1 == nil)
        #expect(falseAlarms.overall.falsePositiveCount == 1)
    }

    @Test(arguments: 0..<20 as Range<UInt64>) func properties(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let truth = randomEvents(&random)
        for collar in [0.2, 0.5] {
            let metrics = EventBasedMetrics(collar: collar)
            let perfect = metrics.evaluate(reference: truth, estimated: truth)
            #expect(perfect.overall.f1 == 1)
            #expect(perfect.macroF1 == 1)

            // Far from each other, so that a shifted event cannot stand for its neighbour.
            let apart = (0..<10).map { event(Double($0) * 10, Double($0) * 10 + 1, "label \($0 % 3)") }
            let shifted = apart.map { event($0.onset + collar + 0.001, $0.offset, $0.label) }
            #expect(metrics.evaluate(reference: apart, estimated: shifted).overall.f1 == 0)

            let estimate = randomEvents(&random)
            let scores = metrics.evaluate(reference: truth, estimated: estimate)
            #expect(
                metrics.evaluate(
                    reference: truth.shuffled(using: &random), estimated: estimate.shuffled(using: &random)) == scores)
            #expect(metrics.evaluate(reference: estimate, estimated: []).overall.f1 == 0)
            // A wider collar finds no fewer events.
            let wider = EventBasedMetrics(collar: collar * 2).evaluate(reference: truth, estimated: estimate)
            #expect(wider.overall.truePositiveCount >= scores.overall.truePositiveCount)
        }
        let metrics = SegmentBasedMetrics()
        #expect(metrics.evaluate(reference: truth, estimated: truth).overall.f1 == 1)
        let joined = truth.joiningOverlaps()
        #expect(metrics.evaluate(reference: joined, estimated: truth).overall.f1 == 1)
    }

    @Test(arguments: 0..<30 as Range<UInt64>) func matchingIsMaximal(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        // Small enough to try all assignments.
        let count = Int.random(in: 1...6, using: &random)
        let neighbours = (0..<count).map { _ in (0..<count).filter { _ in Bool.random(using: &random) } }
        func best(_ left: Int, _ taken: Set<Int>) -> Int {
            guard left < count else { return 0 }
            let without = best(left + 1, taken)
            return neighbours[left].filter { !taken.contains($0) }
                .reduce(without) { max($0, 1 + best(left + 1, taken.union([$1]))) }
        }
        #expect(maximumMatchingSize(neighbours: neighbours, rightCount: count) == best(0, []))
    }

    @Test func longChainsNeedNoStack() {
        // Each search has to turn over the whole chain before it.
        let count = 2000
        let neighbours = (0..<count).map { $0 == 0 ? [0] : [$0 - 1, $0] }.reversed()
        #expect(maximumMatchingSize(neighbours: Array(neighbours), rightCount: count) == count)
    }
}

/// Events of three labels in two recordings, with overlaps.
func randomEvents(_ random: inout SeededGenerator) -> [SoundEvent] {
    (0..<30).map { _ in
        let onset = Double.random(in: 0..<30, using: &random)
        return event(
            onset, onset + Double.random(in: 0.01..<3, using: &random),
            ["dog", "rain", "crow"].randomElement(using: &random) ?? "dog",
            in: Bool.random(using: &random) ? "a.wav" : "b.wav")
    }
}

/// SplitMix64: the same events in every run.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
