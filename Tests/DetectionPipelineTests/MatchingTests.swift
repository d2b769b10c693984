import AudioEmbedding
import DetectionPipeline
import Foundation
import Labels
import OptimalTransport
import TensorKernels
import TestSupport
import Testing

@Suite struct CompiledLabelsTests {
    private func distance(_ a: ArraySlice<Float>, _ b: ArraySlice<Float>) -> Double {
        zip(a, b).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
    }

    private func row(_ matrix: Matrix, _ index: Int) -> ArraySlice<Float> {
        matrix.values[index * matrix.columnCount..<(index + 1) * matrix.columnCount]
    }

    /// −|Lx − Ly|² / 2 for the best of each label's prompts, from the definition and in double precision.
    private func similarities(_ windows: Matrix, _ labels: CompiledLabels) -> [[Double]] {
        (0..<windows.rowCount).map { window in
            labels.promptRanges.map { prompts in
                prompts.map { -distance(row(windows, window), row(labels.promptEmbeddings, $0)) / 2 }.max()!
            }
        }
    }

    @Test func statisticsEqualTheirDefinition() throws {
        let bank = try Fixture.model().bank
        let labels = try Fixture.compile([
            Fixture.entry("dog"), Fixture.entry("rain", hasTwoPrompts: true), Fixture.entry("clock"),
        ])
        #expect(labels.promptRanges == [0..<1, 1..<3, 3..<4])
        let background = similarities(bank.background, labels)
        for label in 0..<labels.count {
            let values = background.map { $0[label] }.sorted()
            // numpy.quantile
            func quantile(_ fraction: Double) -> Double {
                let place = fraction * Double(values.count - 1)
                let weight = place - place.rounded(.down)
                return (1 - weight) * values[Int(place)] + weight * values[Int(place.rounded(.up))]
            }
            let (median, spread) = (quantile(0.5), quantile(0.8413) - quantile(0.5))
            #expect(abs(Double(labels.backgroundMedian[label]) - median) < 1e-4 * max(1, abs(median)), "label \(label)")
            #expect(abs(1 / Double(labels.backgroundScale[label]) - spread) < 1e-2 * spread + 1e-4, "label \(label)")
        }
        let expected = similarities(bank.reference, labels).flatMap { row in
            row.enumerated().map {
                (Float($1) - labels.backgroundMedian[$0]) * labels.backgroundScale[$0]
            }
        }
        let comparison = compare(
            labels.bankScores.values, expected, absolute: 1e-2, relative: 1e-3, name: "bank scores")
        #expect(comparison.holds, "\(comparison)")
    }

    /// So that one threshold means the same for every label.
    @Test func backgroundIsAroundZero() throws {
        let labels = try Fixture.labels()
        let scores = labels.standardisedScores(of: try Fixture.model().bank.background)
        for label in 0..<labels.count {
            let values = (0..<scores.rowCount).map { scores[$0, label] }
            func share(_ holds: (Float) -> Bool) -> Double { Double(values.count(where: holds)) / Double(values.count) }
            #expect(abs(share { $0 < 0 } - 0.5) < 0.01, "\(labels.names[label])")
            #expect(abs(share { $0 < 1 } - 0.8413) < 0.01, "\(labels.names[label])")
        }
    }

    @Test func aWindowAtAPromptIsNearestToIt() throws {
        let labels = try Fixture.labels()
        let similarities = labels.similarities(of: labels.promptEmbeddings)
        for label in 0..<labels.count {
            #expect(abs(similarities[label, label]) < 1e-3)
            for other in 0..<labels.count where other != label {
                #expect(similarities[label, other] < similarities[label, label])
            }
        }
    }

    @Test func labelsDoNotDependOnEachOther() throws {
        let (all, some) = (try Fixture.labels(), try Fixture.labels(["rain"]))
        let index = try #require(all.names.firstIndex(of: "rain"))
        #expect(abs(all.backgroundMedian[index] - some.backgroundMedian[0]) < 1e-5)
        #expect(abs(all.backgroundScale[index] / some.backgroundScale[0] - 1) < 1e-3)
    }

    /// The shipped label files need no text encoder.
    @Test(arguments: ["baby-and-pets", "esc50", "home-safety", "nature", "urban"])
    func shippedLabelsAreBundled(name: String) throws {
        let model = try #require(committedModelPath())
        guard FileManager.default.fileExists(atPath: model + "/labels.safetensors") else {
            print("DetectionPipelineTests: \(name) skipped, the model directory has no labels.safetensors")
            return
        }
        let file = try #require(checkoutPath("labels/\(name).txt"))
        let directory = try ModelDirectory(path: model)
        let entries = try LabelFile(path: file, template: directory.configuration.prompts.template).entries
        let labels = try DetectionModel(path: model).compile(entries, textEncoder: nil, cache: nil)
        #expect(labels.count == entries.count)
        #expect(labels.promptEmbeddings.values.allSatisfy { $0.isFinite })
        #expect(labels.backgroundMedian.allSatisfy { $0.isFinite })
        #expect(labels.backgroundScale.allSatisfy { $0.isFinite && $0 > 0 })
        #expect(labels.bankScores.values.allSatisfy { $0.isFinite })
    }
}

@Suite struct ClipMatcherTests {
    private static let regularization = 0.5

    private func windows(_ count: Int) throws -> Matrix {
        let model = try Fixture.model()
        var embedder = try ClipEmbedder(model)
        return Matrix(
            rows: (0..<count).map { index in
                embedder.embed(noise(seconds: 0.7, amplitude: Float(index + 1) / 20, seed: UInt64(index)))
            })
    }

    private func matcher(_ labels: CompiledLabels) throws -> ClipMatcher {
        ClipMatcher(labels, bank: try Fixture.model().bank, regularization: Self.regularization)
    }

    @Test(arguments: MatchMode.allCases) func permutingLabelsPermutesScores(mode: MatchMode) throws {
        let order = [3, 0, 4, 1, 2]
        let labels = try Fixture.labels()
        let permuted = try Fixture.labels(order.map { Fixture.names[$0] })
        let windows = try windows(6)
        let (scores, other) = (
            try matcher(labels).scores(of: windows, mode: mode), try matcher(permuted).scores(of: windows, mode: mode)
        )
        let expected = Matrix(rows: (0..<6).map { row in order.map { scores[row, $0] } })
        // Balanced scores are fixed up to a constant for all labels.
        let shift = mode == .balanced ? other[0, 0] - expected[0, 0] : 0
        let comparison = compare(other.values, expected.values.map { $0 + shift }, absolute: 2e-3, name: "scores")
        #expect(comparison.holds, "\(comparison)")
    }

    @Test(arguments: [MatchMode.argmax, .transport]) func clipsDoNotDependOnEachOther(mode: MatchMode) throws {
        let matcher = try matcher(Fixture.labels())
        let windows = try windows(4)
        let all = try matcher.scores(of: windows, mode: mode)
        for row in 0..<4 {
            let alone = try matcher.scores(
                of: Matrix(rowCount: 1, columnCount: windows.columnCount, values: Array(windows.row(row))), mode: mode)
            let comparison = compare(alone.values, Array(all.row(row)), absolute: 1e-4)
            #expect(comparison.holds, "clip \(row): \(comparison)")
        }
    }

    @Test func argmaxIsTheSimilarity() throws {
        let labels = try Fixture.labels()
        let windows = try windows(3)
        #expect(try matcher(labels).scores(of: windows, mode: .argmax) == labels.similarities(of: windows))
    }

    /// The shares are the plan of m-LTM: each clip has the same mass, and so has each label.
    @Test func balancedSharesHaveUniformMarginals() throws {
        let matcher = try matcher(Fixture.labels())
        let shares = matcher.shares(ofScores: try matcher.scores(of: windows(10), mode: .balanced))
        for row in 0..<10 {
            #expect(abs(shares.row(row).reduce(0, +) - 1) < 1e-5)
            #expect(shares.row(row).allSatisfy { $0 >= 0 })
        }
        for column in 0..<5 {
            let sum = (0..<10).reduce(Float(0)) { $0 + shares[$1, column] }
            #expect(abs(sum - 2) < 0.02, "label \(column) has \(sum) of 10 clips")
        }
    }

    @Test(arguments: MatchMode.allCases) func sharesSumToOne(mode: MatchMode) throws {
        let matcher = try matcher(Fixture.labels())
        let shares = matcher.shares(ofScores: try matcher.scores(of: windows(3), mode: mode))
        for row in 0..<3 { #expect(abs(shares.row(row).reduce(0, +) - 1) < 1e-5) }
    }
}
