import AudioEmbedding
import AudioFeatures

/// Embeds whole clips: the mean of all step embeddings of the streaming encoder, projected into metric space.
///
/// A clip is heard twice, and the steps of the second hearing count. The encoder squeezes over a running window of the
/// past, which is empty when a stream begins; the first hearing gives each step the past that a stream would have.
package struct ClipEmbedder: ~Copyable {
    /// The most that is heard beforehand, in seconds: more than any running window of the encoder holds.
    private static let longestPreparation = 10

    private let model: DetectionModel
    private var encoder: StepEncoder
    private var projection: AudioProjection

    package init(_ model: DetectionModel) throws {
        self.model = model
        encoder = try StepEncoder(model, maximumChunk: 16 * model.stepLength)
        projection = AudioProjection(sharing: model.projection)
    }

    /// - Parameter samples: Mono, at the model's rate; at least one sample.
    /// - Returns: [embeddingSize], in metric space (L·x).
    package mutating func embed(_ samples: [Float]) -> [Float] {
        let frontEnd = model.configuration.frontEnd
        // A very short clip fills one step at least.
        let shortest = frontEnd.windowLength + model.stepLength
        let clip = samples + [Float](repeating: 0, count: max(0, shortest - samples.count))
        // A whole number of steps, so that the second hearing is cut into steps as the first one would be.
        let skippedSteps = min(clip.count, Self.longestPreparation * model.sampleRate) / model.stepLength
        let preparation = clip.suffix(skippedSteps * model.stepLength)
        // The encoder looks ahead: silence after the end lets it finish.
        let tail = [Float](repeating: 0, count: model.configuration.encoder.lookaheadSamples)
        let counted = model.encoder.stepCount(
            forFrameCount: frontEnd.frameCount(forSampleCount: clip.count + tail.count))
        var skipped = skippedSteps

        encoder.reset()
        var mean = [Float](repeating: 0, count: encoder.embeddingSize)
        (preparation + clip + tail).withUnsafeBufferPointer { samples in
            encoder.process(samples) { step in
                guard skipped == 0 else {
                    skipped -= 1
                    return
                }
                for index in 0..<step.count { mean[index] += step[index] / Float(counted) }
            }
        }
        var embedding = [Float](repeating: 0, count: model.configuration.projection.embeddingSize)
        mean.withUnsafeBufferPointer { pooled in
            embedding.withUnsafeMutableBufferPointer { projection.project(pooled, into: $0) }
        }
        return embedding
    }
}
