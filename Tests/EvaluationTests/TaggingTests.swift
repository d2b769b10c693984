import Evaluation
import TensorKernels
import Testing

/// Ranking figures, modality gap and spreads against scikit-learn and numpy, and by hand.
@Suite struct TaggingTests {
    struct Cases: Decodable {
        let cases: [Case]
        let gaps: [Gap]
        let spreads: [SpreadCase]
    }

    struct Case: Decodable {
        let name: String
        let scores: [[Float]]
        let truth: [Int]
        let result: Expected
    }

    struct Expected: Decodable {
        let recallAt1: Double
        let recallAt5: Double
        let recallAt10: Double
        let mapAt10: Double
        let confusion: [[Int]]?
        let perClassRecall: [Double?]?

        enum CodingKeys: String, CodingKey {
            case recallAt1 = "recall_at_1"
            case recallAt5 = "recall_at_5"
            case recallAt10 = "recall_at_10"
            case mapAt10 = "map_at_10"
            case confusion
            case perClassRecall = "per_class_recall"
        }
    }

    struct Gap: Decodable {
        let name: String
        let audio: [[Float]]
        let text: [[Float]]
        let gap: Double
    }

    struct SpreadCase: Decodable {
        let name: String
        let values: [Double]
        let mean: Double
        let median: Double
        let percentile90: Double

        enum CodingKeys: String, CodingKey {
            case name, values, mean, median
            case percentile90 = "percentile_90"
        }
    }

    @Test func equalsScikitLearn() throws {
        let cases = try Golden.load("tagging", as: Cases.self).cases
        #expect(cases.contains { $0.result.confusion != nil } && cases.contains { $0.result.confusion == nil })
        for golden in cases {
            let scores = try TaggingScores(scores: Matrix(rows: golden.scores), truth: golden.truth)
            expectClose(scores.recall(at: 1), golden.result.recallAt1, "\(golden.name): R@1")
            expectClose(scores.recall(at: 5), golden.result.recallAt5, "\(golden.name): R@5")
            expectClose(scores.recall(at: 10), golden.result.recallAt10, "\(golden.name): R@10")
            expectClose(scores.meanAveragePrecision(), golden.result.mapAt10, "\(golden.name): mAP@10")
            if let confusion = golden.result.confusion, let recall = golden.result.perClassRecall {
                #expect(scores.confusion == confusion.flatMap { $0 }, "\(golden.name)")
                for (label, expected) in recall.enumerated() {
                    expectClose(scores.perClassRecall[label], expected, "\(golden.name): recall of \(label)")
                }
            }
        }
    }

    @Test func modalityGapEqualsNumpy() throws {
        for golden in try Golden.load("tagging", as: Cases.self).gaps {
            // The files hold decimals, the matrices floats.
            expectClose(
                try modalityGap(audio: Matrix(rows: golden.audio), text: Matrix(rows: golden.text)), golden.gap,
                golden.name, tolerance: 1e-6)
        }
    }

    @Test func spreadEqualsNumpy() throws {
        for golden in try Golden.load("tagging", as: Cases.self).spreads {
            let spread = try #require(Spread(golden.values))
            #expect(spread.count == golden.values.count)
            expectClose(spread.mean, golden.mean, golden.name)
            expectClose(spread.median, golden.median, golden.name)
            expectClose(spread.percentile90, golden.percentile90, golden.name)
        }
        #expect(Spread([]) == nil)
    }

    @Test func figuresByHand() throws {
        let scores = try TaggingScores(
            scores: Matrix(rows: [[3, 2, 1], [3, 2, 1], [3, 2, 1], [1, 2, 3]]), truth: [0, 1, 2, 2])
        #expect(scores.ranks == [1, 2, 3, 1])
        #expect(scores.recall(at: 1) == 0.5)
        #expect(scores.recall(at: 2) == 0.75)
        #expect(scores.recall(at: 10) == 1)
        expectClose(scores.meanAveragePrecision(), (1 + 0.5 + 1 / 3.0 + 1) / 4, "mean reciprocal rank")
        expectClose(scores.meanAveragePrecision(at: 2), (1 + 0.5 + 0 + 1) / 4, "cut off at 2")
        #expect(scores.confusion == [1, 0, 0, 1, 0, 0, 1, 0, 1])
        #expect(scores.perClassRecall == [1, 0, 0.5])
        #expect(scores.topConfusions(5).map(\.truth) == [1, 2])
        #expect(scores.topConfusions(1).map(\.predicted) == [0])
    }

    @Test func tiesCountAgainstTheSystem() throws {
        let flat = try TaggingScores(scores: Matrix(rowCount: 4, columnCount: 4), truth: [0, 1, 2, 3])
        #expect(flat.ranks == [4, 4, 4, 4])
        #expect(flat.recall(at: 1) == 0)
        #expect(flat.perClassRecall == [0, 0, 0, 0])
        let infinite = try TaggingScores(
            scores: Matrix(rows: [[-.infinity, 0, .infinity], [-.infinity, -.infinity, -.infinity]]), truth: [2, 0])
        #expect(infinite.ranks == [1, 3])
    }

    @Test(arguments: 0..<10 as Range<UInt64>) func properties(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let labelCount = Int.random(in: 1...20, using: &random)
        // Few distinct values, so that there are ties.
        let rows = (0..<15).map { _ in (0..<labelCount).map { _ in Float(Int.random(in: 0..<8, using: &random)) } }
        let truth = rows.map { _ in Int.random(in: 0..<labelCount, using: &random) }
        let scores = try TaggingScores(scores: Matrix(rows: rows), truth: truth)
        // R@1 is the share of the confusion matrix's diagonal, ties or not.
        let diagonal = (0..<labelCount).reduce(0) { $0 + scores.confusion[$1 * labelCount + $1] }
        #expect(Double(diagonal) / Double(rows.count) == scores.recall(at: 1))
        #expect(scores.confusion.reduce(0, +) == rows.count)
        #expect(scores.recall(at: labelCount) == 1)

        let order = Array(0..<labelCount).shuffled(using: &random)
        let permuted = try TaggingScores(
            scores: Matrix(rows: rows.map { row in order.map { row[$0] } }),
            truth: truth.map { order.firstIndex(of: $0) ?? 0 })
        #expect(permuted.ranks == scores.ranks)
        let scaled = try TaggingScores(scores: Matrix(rows: rows.map { $0.map { 2 * $0 - 100 } }), truth: truth)
        #expect(scaled == scores)
    }

    @Test func gapOfKnownVectors() throws {
        let right = Matrix(rows: [[2, 0], [5, 0]])
        #expect(try modalityGap(audio: right, text: right) == 0)
        expectClose(try modalityGap(audio: right, text: Matrix(rows: [[0, 0.1]])), 2.0.squareRoot(), "right angle")
        #expect(try modalityGap(audio: right, text: Matrix(rows: [[-3, 0]])) == 2)
    }

    @Test func refusesWhatItCannotScore() {
        func message(_ work: () throws -> Void) -> String? {
            do {
                try work()
                return nil
            } catch {
                return "\(error)"
            }
        }
        let scores = Matrix(rows: [[1, 2], [3, .nan]])
        #expect(
            message { _ = try TaggingScores(scores: scores, truth: [0, 1]) }
                == "score of clip 1 for label 1 is not a number")
        #expect(
            message { _ = try TaggingScores(scores: scores, truth: [0]) } == "scores of 2 clips but true labels of 1")
        #expect(
            message { _ = try TaggingScores(scores: scores, truth: [2, 0]) } == "true label 2 of clip 0 is not in 0..<2"
        )
        #expect(message { _ = try TaggingScores(scores: Matrix(rows: []), truth: []) } == "no clips to evaluate")
        let one = Matrix(rows: [[1, 0]])
        #expect(
            message { _ = try modalityGap(audio: one, text: Matrix(rows: [[1]])) }
                == "audio embeddings of size 2 but text embeddings of size 1")
        #expect(
            message { _ = try modalityGap(audio: one, text: Matrix(rowCount: 0, columnCount: 2)) }
                == "no text embeddings")
        #expect(
            message { _ = try modalityGap(audio: Matrix(rows: [[1, 0], [0, 0]]), text: one) }
                == "audio embedding 1 has length 0.0 and cannot be normalised")
    }
}
