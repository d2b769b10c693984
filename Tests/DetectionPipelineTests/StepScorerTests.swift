import AudioEmbedding
import AudioFeatures
import DetectionPipeline
import Glibc
import TensorKernels
import TestSupport
import Testing

@Suite struct StepScorerTests {
    /// Each stage's batch form, one after the other, over the whole recording.
    private func batch(_ samples: [Float], labels: CompiledLabels) throws -> [Float] {
        let model = try Fixture.model()
        let steps = model.encoder.encode(try LogMel(model.configuration.frontEnd).frames(of: samples))
        let windowSteps = try DetectionSettings(model).windowSteps
        var projection = AudioProjection(sharing: model.projection)
        let rows = (0..<steps.rowCount).map { last -> [Float] in
            let window = max(0, last + 1 - windowSteps)...last
            let mean = (0..<steps.columnCount).map { column in
                window.reduce(Float(0)) { $0 + steps[$1, column] } / Float(window.count)
            }
            var embedding = [Float](repeating: 0, count: model.configuration.projection.embeddingSize)
            mean.withUnsafeBufferPointer { mean in
                embedding.withUnsafeMutableBufferPointer { projection.project(mean, into: $0) }
            }
            return embedding
        }
        return try aboveTheUsual(labels.standardisedScores(of: Matrix(rows: rows)), model)
    }

    /// Scores less the running mean of their label so far, where that is above the background's.
    private func aboveTheUsual(_ scores: Matrix, _ model: DetectionModel) throws -> [Float] {
        let baseline = try DetectionSettings(model).baseline
        let step = Float(model.stepLength) / Float(model.sampleRate)
        var result = scores
        for label in 0..<scores.columnCount {
            var mean = baseline.start
            for row in 0..<scores.rowCount {
                let score = scores[row, label]
                result[row, label] = mean > 0 ? score - mean : score
                let standsOut = result[row, label] > baseline.elevation
                mean += step / (standsOut ? baseline.elevatedSeconds : baseline.seconds) * (score - mean)
            }
        }
        return result.values
    }

    @Test(arguments: [1, 7, 320, 5120, 320_000]) func equalsTheBatchFormUnderAnyChunking(chunk: Int) throws {
        // Sample by sample takes long; three seconds hold 16 steps.
        let samples = chunk == 1 ? Array(Fixture.recording.prefix(96_000)) : Fixture.recording
        let labels = try Fixture.labels()
        let streaming = try Fixture.scores(samples, chunk: chunk, labels: labels)
        let expected = try batch(samples, labels: labels)
        let standardised = compare(
            streaming.standardised, expected, absolute: 1e-3, relative: 1e-4, name: "standardised scores")
        #expect(standardised.holds, "\(standardised)")
        // Shares depend on the windows before; there is no batch form of them with a warm start.
        let whole = try Fixture.scores(samples, chunk: samples.count, labels: labels)
        let shares = compare(streaming.shares, whole.shares, absolute: 1e-4, name: "shares")
        #expect(shares.holds, "\(shares)")
        #expect(streaming.starts == whole.starts && streaming.isSilent == whole.isSilent)
    }

    @Test func stepsFollowEachOther() throws {
        let model = try Fixture.model()
        let scores = try Fixture.scores(Fixture.recording, chunk: 1000)
        for (before, after) in zip(scores.starts, scores.starts.dropFirst()) {
            #expect(after - before == Int64(model.stepLength))
        }
        // As many as the batch form gives.
        let lookahead = model.configuration.encoder.lookaheadSamples
        let missing = Fixture.recording.count - scores.starts.count * model.stepLength
        #expect(missing <= lookahead + model.configuration.frontEnd.windowLength + 2 * model.stepLength, "\(missing)")
        for step in scores.starts.indices {
            let sum = scores.shares[step * 5..<step * 5 + 5].reduce(0, +)
            #expect(abs(sum - 1) < 1e-4, "in step \(step): nothing is too dear to be matched")
        }
    }

    /// The gate's flag is of the whole window: set only where no sound is in it.
    @Test func silentWindowsAreFlagged() throws {
        let scores = try Fixture.scores(silence(seconds: 4) + noise(seconds: 2) + silence(seconds: 5), chunk: 5000)
        let silent = zip(scores.starts, scores.isSilent).filter(\.1).map { Double($0.0) / 32_000 }
        #expect(silent.contains { $0 > 1 && $0 < 2 } && silent.contains { $0 > 8 }, "\(silent)")
        #expect(!silent.contains { $0 > 4 && $0 < 5.8 }, "\(silent)")
    }

    /// Some milliseconds that a device lost do not make the place a new one.
    @Test func lostAudioLeavesWhatIsUsual() throws {
        let model = try Fixture.model()
        var settings = try DetectionSettings(model)
        settings.baseline = .init(seconds: 5, elevatedSeconds: 5, elevation: 1e9, start: 0)
        var scorer = try StepScorer(model, labels: Fixture.labels(), settings: settings)
        // The highest score of each label while `seconds` of a hum are heard.
        func peaks(seconds: Int) -> [Float] {
            var peaks = [Float](repeating: -.infinity, count: scorer.labels.count)
            let hum = (0..<seconds * 32_000).map { Float(sin(Double($0) * 0.1)) * 0.3 }
            forEachChunk(of: hum, 1280) { samples in
                scorer.process(samples) { step in
                    for (label, score) in step.standardisedScores.enumerated() {
                        peaks[label] = max(peaks[label], score)
                    }
                }
            }
            return peaks
        }
        let new = peaks(seconds: 4)
        let label = try #require(new.indices.max { new[$0] < new[$1] })
        #expect(new[label] > 0.5)
        _ = peaks(seconds: 30)
        scorer.restart(at: 40 * 32_000)
        let again = peaks(seconds: 4)
        #expect(again[label] < new[label] / 2, "\(new[label]) at first, \(again[label]) after the gap")
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity, .greatestFiniteMagnitude, 1e20])
    func wildSamplesDoNotPoisonWhatFollows(value: Float) throws {
        let clean = noise(seconds: 64, amplitude: 0.1, seed: 9)
        var wild = clean
        for index in 64_000..<64_500 { wild[index] = value }
        let labels = try Fixture.labels()
        let expected = try Fixture.scores(clean, chunk: 1280, labels: labels)
        let actual = try Fixture.scores(wild, chunk: 1280, labels: labels)
        #expect(actual.shares.allSatisfy { $0.isFinite && (0...1.0001).contains($0) })
        // Each layer with a running mean remembers for some seconds more; the transport's ring is soon through after.
        let from = try #require(expected.starts.firstIndex { $0 > 56 * 32_000 }) * labels.count
        let standardised = compare(
            Array(actual.standardised[from...]), Array(expected.standardised[from...]), absolute: 1e-3, relative: 1e-4,
            name: "standardised scores")
        #expect(standardised.holds, "\(standardised)")
        let shares = compare(
            Array(actual.shares[from...]), Array(expected.shares[from...]), absolute: 1e-2, name: "shares")
        #expect(shares.holds, "\(shares)")
    }
}
