package import AudioFeatures
package import TensorKernels

/// The audio encoder's weights: log-mel frames to step embeddings, convolutional in time.
///
/// One value is shared by any number of streams (``StreamingAudioEncoder``); ``encode(_:)`` is the batch form that
/// defines what they compute.
package struct AudioEncoder: Sendable {
    package let configuration: EncoderConfiguration
    /// Numbers per log-mel frame.
    package let melCount: Int
    let layers: [EncoderLayer]

    /// - Throws: ``ModelError`` naming the tensor that is missing or has another shape than `config.json` says.
    package init(_ model: ModelDirectory) throws {
        configuration = model.configuration.encoder
        melCount = model.configuration.frontEnd.melCount
        var frequencies = melCount
        var layers: [EncoderLayer] = []
        for layer in configuration.layers {
            layers.append(try EncoderLayer(layer, inputFrequencies: frequencies, tensors: model.tensors))
            frequencies = layers[layers.count - 1].outputFrequencies
        }
        self.layers = layers
    }

    /// Size of a step embedding.
    package var embeddingSize: Int { configuration.embeddingSize }

    /// Steps that the batch form gives for a clip of `frameCount` log-mel frames, without padding.
    package func stepCount(forFrameCount frameCount: Int) -> Int {
        configuration.layers.reduce(frameCount) { $1.outputColumns(for: $0) }
    }

    /// Log-mel frames of a clip with the zeros at its end that let its last steps out: the batch input for a clip.
    ///
    /// - Returns: [frameCount x melCount] of `samples` followed by `lookaheadSamples` zeros.
    package func paddedFrames(of samples: [Float], frontEnd: LogMel) -> Matrix {
        frontEnd.frames(of: samples + [Float](repeating: 0, count: configuration.lookaheadSamples))
    }
}
