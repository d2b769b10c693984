import AudioEmbedding
import AudioFeatures

/// Embeds whole clips: the mean of all step embeddings of the streaming encoder, projected into metric space.
package struct ClipEmbedder: ~Copyable {
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
        encoder.reset()
        var sum = [Float](repeating: 0, count: encoder.embeddingSize)
        var count = 0
        // The encoder looks ahead: silence after the end lets it finish, and a very short clip fills one step.
        let shortest = model.configuration.frontEnd.windowLength + model.stepLength
        let tail = model.configuration.encoder.lookaheadSamples + max(0, shortest - samples.count)
        let padded = samples + [Float](repeating: 0, count: tail)
        padded.withUnsafeBufferPointer { samples in
            encoder.process(samples) { step in
                for index in 0..<step.count { sum[index] += step[index] }
                count += 1
            }
        }
        let scale = 1 / Float(max(count, 1))
        for index in sum.indices { sum[index] *= scale }
        var embedding = [Float](repeating: 0, count: model.configuration.projection.embeddingSize)
        sum.withUnsafeBufferPointer { pooled in
            embedding.withUnsafeMutableBufferPointer { projection.project(pooled, into: $0) }
        }
        return embedding
    }
}
