import AudioEmbedding
import AudioFeatures

/// Samples in, step embeddings out: the streaming front end and the streaming encoder in one, any chunking.
///
/// Owns all scratch; ``process(_:onStep:)`` does not allocate.
package struct StepEncoder: ~Copyable {
    /// Values per step embedding.
    package let embeddingSize: Int
    private let maximumChunk: Int
    private let melCount: Int
    private var logMel: StreamingLogMel
    private var encoder: StreamingAudioEncoder
    private var frames: [Float]
    private var steps: [Float]

    /// - Parameter maximumChunk: The most samples worked on at once; longer input is taken in pieces of this length.
    package init(_ model: DetectionModel, maximumChunk: Int) throws {
        let configuration = model.configuration
        embeddingSize = configuration.encoder.embeddingSize
        melCount = configuration.frontEnd.melCount
        self.maximumChunk = maximumChunk
        logMel = try StreamingLogMel(configuration.frontEnd)
        // The most that a chunk can complete: all but one sample of a frame were there before it.
        let frameCapacity = configuration.frontEnd.frameCount(
            forSampleCount: configuration.frontEnd.windowLength - 1 + maximumChunk)
        encoder = StreamingAudioEncoder(model.encoder, maximumFrames: frameCapacity)
        frames = [Float](repeating: 0, count: frameCapacity * melCount)
        steps = [Float](
            repeating: 0, count: (frameCapacity / configuration.encoder.stepFrames + 2) * embeddingSize)
    }

    /// - Parameters:
    ///   - samples: At the model's rate.
    ///   - onStep: Called with each step embedding, [embeddingSize], in order.
    package mutating func process(
        _ samples: UnsafeBufferPointer<Float>, onStep: (UnsafeBufferPointer<Float>) throws -> Void
    ) rethrows {
        var position = 0
        while position < samples.count {
            let end = min(position + maximumChunk, samples.count)
            let chunk = UnsafeBufferPointer(rebasing: samples[position..<end])
            position = end
            let frameCount = frames.withUnsafeMutableBufferPointer { logMel.process(chunk, into: $0) }
            guard frameCount > 0 else { continue }
            let stepCount = frames.withUnsafeBufferPointer { frames in
                steps.withUnsafeMutableBufferPointer { steps in
                    encoder.process(
                        UnsafeBufferPointer(rebasing: frames[..<(frameCount * melCount)]), frameCount: frameCount,
                        into: steps)
                }
            }
            try steps.withUnsafeBufferPointer { steps in
                for step in 0..<stepCount {
                    try onStep(
                        UnsafeBufferPointer(rebasing: steps[step * embeddingSize..<(step + 1) * embeddingSize]))
                }
            }
        }
    }

    /// Forgets all audio heard so far.
    package mutating func reset() {
        logMel.reset()
        encoder.reset()
    }
}
