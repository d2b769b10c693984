import AudioEmbedding
import AudioFeatures
import TensorKernels

/// Embeds whole clips in metric space: by the stream's encoder, and by the model's second one, which looks further ahead
/// than a stream can wait. The clip's embedding is the weighted mean of both.
package struct ClipEmbedder {
    private let logMel: LogMel
    private let passes: [(pass: ClipPass, share: Float)]

    /// - Parameter hasSecondPass: Whether the model's second encoder hears clips as well, where it has one.
    /// - Throws: `ModelError` for a damaged second encoder.
    package init(_ model: DetectionModel, hasSecondPass: Bool = true) throws {
        logMel = try LogMel(model.configuration.frontEnd)
        let stream = ClipPass(
            encoder: model.encoder, projection: AudioProjection(sharing: model.projection), surroundings: .itself)
        guard hasSecondPass, let configuration = model.configuration.secondPass else {
            passes = [(stream, 1)]
            return
        }
        // Loaded here: a daemon hears no clips, and should not hold its weights.
        let second = ClipPass(
            encoder: try AudioEncoder(model.directory, configuration: configuration.encoder),
            projection: try AudioProjection(
                model.directory, prefix: ModelConfiguration.SecondPassConfiguration.tensorPrefix),
            surroundings: .zeros)
        passes = [(stream, 1 - configuration.share), (second, configuration.share)]
    }

    /// How many encoders hear each clip: 1 or 2.
    package var passCount: Int { passes.count }

    /// - Parameter samples: Mono, at the model's rate; at least one sample.
    /// - Returns: [embeddingSize], in metric space (L·x).
    package mutating func embed(_ samples: [Float]) -> [Float] {
        let frontEnd = logMel.configuration
        // A very short clip fills one step at least.
        let longestStep = passes.map(\.pass.stepFrames).max() ?? 1
        let shortest = frontEnd.windowLength + (longestStep - 1) * frontEnd.hopLength
        let frames = logMel.frames(of: samples + [Float](repeating: 0, count: max(0, shortest - samples.count)))
        let framesPerSecond = Double(frontEnd.sampleRate) / Double(frontEnd.hopLength)
        var mean: [Float] = []
        for (pass, share) in passes {
            let embedding = pass.embed(frames, framesPerSecond: framesPerSecond)
            mean = mean.isEmpty ? embedding.map { share * $0 } : zip(mean, embedding).map { $0 + share * $1 }
        }
        return mean
    }
}

/// A clip as one encoder hears it: the mean of all its step embeddings, projected into metric space.
///
/// It is heard twice, and the second time counts: the first fills the running windows that the encoder squeezes over, which
/// are empty when a stream begins.
private final class ClipPass {
    /// What is around the clip the second time.
    enum Surroundings {
        /// One turn of a recording that repeats its frames: a stream goes on before and after each sound. Frames are
        /// repeated, not samples, so that no click is heard where a turn begins.
        case itself
        /// Zeros in every layer, the padding that a network trained on whole clips knows.
        case zeros
    }

    /// How much is heard the first time, in seconds: at least what a running window of an encoder holds, in whole turns
    /// unless one turn is longer than the limit.
    private static let preparation = (least: 5.0, most: 10.0)

    private let encoder: AudioEncoder
    private var projection: AudioProjection
    private let surroundings: Surroundings

    var stepFrames: Int { encoder.configuration.stepFrames }

    init(encoder: AudioEncoder, projection: consuming AudioProjection, surroundings: Surroundings) {
        self.encoder = encoder
        self.projection = projection
        self.surroundings = surroundings
    }

    /// - Parameter frames: [frameCount x melCount], one step at least; what is left of a last step is not heard.
    func embed(_ frames: Matrix, framesPerSecond: Double) -> [Float] {
        let count = frames.rowCount / stepFrames
        precondition(count > 0, "a clip of \(frames.rowCount) frames fills no step of \(stepFrames)")
        let steps = steps(of: frames, count: count, stepsPerSecond: framesPerSecond / Double(stepFrames))
        var mean = [Float](repeating: 0, count: steps.columnCount)
        for step in steps.rowCount - count..<steps.rowCount {
            for (index, value) in steps.row(step).enumerated() { mean[index] += value / Float(count) }
        }
        return projection.project(Matrix(rowCount: 1, columnCount: mean.count, values: mean)).values
    }

    /// - Returns: the last `count` rows are the steps of the clip.
    private func steps(of frames: Matrix, count: Int, stepsPerSecond: Double) -> Matrix {
        let turn = count * stepFrames
        let most = Int(Self.preparation.most * stepsPerSecond)
        switch surroundings {
        case .itself:
            let turns = Int((Self.preparation.least * stepsPerSecond / Double(count)).rounded(.up))
            let stepsBefore = min(turns * count, most)
            let begin = turn - stepsBefore * stepFrames % turn
            let length = (stepsBefore + count) * stepFrames + encoder.configuration.lookaheadFrames
            let recording = (begin..<begin + length).flatMap { frames.row($0 % turn) }
            return encoder.steps(of: Matrix(rowCount: length, columnCount: frames.columnCount, values: recording))
        case .zeros:
            let clip = Array(frames.values.prefix(turn * frames.columnCount))
            return encoder.paddedSteps(
                of: Matrix(rowCount: turn, columnCount: frames.columnCount, values: clip),
                meanFrames: min(count, most) * stepFrames)
        }
    }
}
