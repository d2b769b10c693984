import Evaluation
import Testing

/// PSDS against psds_eval, by hand, and by properties.
@Suite struct PolyphonicDetectionScoreTests {
    struct Cases: Decodable {
        let scenarios: [String: Scenario]
        let cases: [Case]
    }

    struct Scenario: Decodable {
        let dtc: Double
        let gtc: Double
        let cttc: Double
        let alphaCT: Double
        let alphaST: Double
        let maximumRate: Double

        enum CodingKeys: String, CodingKey {
            case dtc, gtc, cttc
            case alphaCT = "alpha_ct"
            case alphaST = "alpha_st"
            case maximumRate = "max_efpr"
        }

        var score: PolyphonicDetectionScore {
            PolyphonicDetectionScore(
                detectionTolerance: dtc, groundTruthIntersection: gtc, crossTriggerTolerance: cttc,
                crossTriggerWeight: alphaCT, instabilityWeight: alphaST, maximumFalsePositiveRate: maximumRate)
        }
    }

    struct Case: Decodable {
        let name: String
        let truth: [GoldenEvent]
        let durations: [String: Double]
        let points: [[GoldenEvent]]
        let results: [String: Expected]
    }

    struct Expected: Decodable {
        let value: Double
        let rates: [Double]
        let ratios: [Double]
        let truePositiveRatio: [[Double]]
        let falsePositiveRate: [[Double]]

        enum CodingKeys: String, CodingKey {
            case value
            case rates = "curve_x"
            case ratios = "curve_y"
            case truePositiveRatio = "true_positive_ratio"
            case falsePositiveRate = "false_positive_rate"
        }
    }

    @Test func equalsPsdsEval() throws {
        let golden = try Golden.load("psds", as: Cases.self)
        #expect(golden.scenarios["psds1"]?.score == .scenario1)
        #expect(golden.scenarios["psds2"]?.score == .scenario2)
        #expect(golden.cases.count > 10)
        for testCase in golden.cases {
            for (name, expected) in testCase.results {
                let scenario = try #require(golden.scenarios[name])
                let result = try scenario.score.evaluate(
                    operatingPoints: testCase.points.map { $0.map(\.event) }, truth: testCase.truth.map(\.event),
                    durations: testCase.durations)
                let context = "\(testCase.name), \(name)"
                expectClose(result.value, expected.value, context)
                for (point, actual) in result.operatingPoints.enumerated() {
                    for label in result.labels.indices {
                        expectClose(
                            actual.truePositiveRatio[label], expected.truePositiveRatio[point][label],
                            "\(context): true positive ratio, point \(point), \(result.labels[label])")
                        expectClose(
                            actual.falsePositiveRate[label], expected.falsePositiveRate[point][label],
                            "\(context): false positive rate, point \(point), \(result.labels[label])")
                    }
                }
                // Both are staircases; rates that differ only by rounding may be one step here and two there.
                for (rate, ratio) in zip(expected.rates, expected.ratios) {
                    let step = result.curve.last { $0.rate <= rate + 1e-9 * (1 + rate) }
                    expectClose(step?.ratio, ratio, "\(context): ratio at \(rate)")
                }
            }
        }
    }

    /// One hour; the dog is found at the strict threshold, the rain only at the loose one, which gives 30 false dogs.
    @Test func areaByHand() throws {
        let truth = [event(0, 10), event(20, 30, "rain")]
        let strict = [event(0, 10)]
        let loose = truth + (0..<30).map { event(100 + 2 * Double($0), 101 + 2 * Double($0)) }
        let durations = ["a.wav": 3600.0]

        var score = PolyphonicDetectionScore.scenario1
        score.instabilityWeight = 0
        let result = try score.evaluate(operatingPoints: [strict, loose], truth: truth, durations: durations)
        // The rain has no false positives of its own at the loose threshold, so both labels are found at rate 0.
        #expect(result.value == 1)
        #expect(result.labels == ["dog", "rain"])
        #expect(result.operatingPoints[1].falsePositiveRate == [30, 0])

        // With false reports of rain too, rain is found from 40 per hour on: .4 * 1/2 + .6 * 1.
        let noisy = loose + (0..<40).map { event(200 + 2 * Double($0), 201 + 2 * Double($0), "rain") }
        let second = try score.evaluate(operatingPoints: [strict, noisy], truth: truth, durations: durations)
        expectClose(second.value, 0.8, "mean of the labels")
        // The labels (1, 0) have mean .5 and deviation .5: nothing below 40 per hour is stable.
        let stable = try PolyphonicDetectionScore.scenario1.evaluate(
            operatingPoints: [strict, noisy], truth: truth, durations: durations)
        expectClose(stable.value, 0.6, "mean less deviation")
    }

    @Test func crossTriggersCost() throws {
        let truth = [event(0, 10), event(20, 30, "rain")]
        // The dog is also reported in the rain: one false positive and one cross-trigger of 10 s of rain, 360 per hour of it.
        let points = [truth + [event(21, 29)]]
        let result = try PolyphonicDetectionScore.scenario2.evaluate(
            operatingPoints: points, truth: truth, durations: ["a.wav": 3600])
        #expect(result.operatingPoints[0].falsePositiveRate == [1, 0])
        expectClose(result.operatingPoints[0].effectiveFalsePositiveRate[0], 1 + 0.5 * 360, "dog")
        #expect(result.operatingPoints[0].truePositiveRatio == [1, 1])
        #expect(result.value == 0)
    }

    @Test func oneLabelAlone() throws {
        let truth = [event(0, 10)]
        let result = try PolyphonicDetectionScore.scenario2.evaluate(
            operatingPoints: [truth], truth: truth, durations: ["a.wav": 60])
        #expect(result.value == 1)
    }

    @Test(arguments: 0..<10 as Range<UInt64>) func properties(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let durations = ["a.wav": 60.0, "b.wav": 60.0]
        let truth = randomEvents(&random).joiningOverlaps()
        let points = (0..<5).map { _ in randomEvents(&random).joiningOverlaps() }
        for score in [PolyphonicDetectionScore.scenario1, .scenario2] {
            func value(_ points: [[SoundEvent]]) throws -> Double {
                try score.evaluate(operatingPoints: points, truth: truth, durations: durations).value
            }
            #expect(try value([truth]) == 1)
            #expect(try value(points + [truth]) == 1)
            #expect(try value([]) == 0)
            #expect(try value([[]]) == 0)
            let reference = try value(points)
            #expect((0...1).contains(reference))
            #expect(try value(points.map { $0.shuffled(using: &random) }.shuffled(using: &random)) == reference)
            // A threshold more cannot hurt where labels are only averaged.
            var averaging = score
            averaging.instabilityWeight = 0
            let fewer = try averaging.evaluate(
                operatingPoints: Array(points.dropLast()), truth: truth, durations: durations)
            let more = try averaging.evaluate(operatingPoints: points, truth: truth, durations: durations)
            #expect(more.value >= fewer.value - 1e-12)
        }
    }

    @Test func refusesWhatItCannotScore() {
        func message(_ points: [[SoundEvent]], _ truth: [SoundEvent], _ durations: [String: Double]) -> String? {
            do {
                _ = try PolyphonicDetectionScore.scenario1.evaluate(
                    operatingPoints: points, truth: truth, durations: durations)
                return nil
            } catch {
                return "\(error)"
            }
        }
        let good = [event(0, 1)]
        let overlapping = [event(0, 2), event(1, 3)]
        #expect(message([good], good, ["a.wav": 10]) == nil)
        #expect(message([good], [event(0, 2), event(2, 3)], ["a.wav": 10]) == nil)
        #expect(
            message([good], overlapping, ["a.wav": 10]) == "true events of dog in a.wav overlap at 1.0 s; join them")
        #expect(
            message([overlapping], good, ["a.wav": 10]) == "reported events of dog in a.wav overlap at 1.0 s; join them"
        )
        #expect(
            message([good], good, ["b.wav": 10]) == "true event of dog in a.wav, whose duration is not known")
        #expect(message([good], good, ["a.wav": 0]) == "duration 0.0 s of a.wav is not positive")
        #expect(message([good], good, ["a.wav": .nan]) == "duration nan s of a.wav is not positive")
        #expect(message([good], [event(1, 1)], ["a.wav": 10]) == "the truth has no event longer than 0 s")
    }

    @Test func joinsOverlaps() {
        let events = [
            event(4, 5), event(1, 2), event(1.5, 3), event(3, 3.5), event(1, 2, "rain"), event(2, 3, in: "b.wav"),
        ]
        #expect(
            events.joiningOverlaps() == [event(1, 3.5), event(4, 5), event(1, 2, "rain"), event(2, 3, in: "b.wav")])
        #expect([event(0, 9), event(1, 2)].joiningOverlaps() == [event(0, 9)])
        #expect([SoundEvent]().joiningOverlaps() == [])
    }
}
