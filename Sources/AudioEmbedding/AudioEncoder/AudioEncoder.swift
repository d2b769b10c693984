package import AudioFeatures
package import TensorKernels

/// The audio encoder's weights: log-mel frames to step embeddings, convolutional in time.
///
/// One value is shared by any number of streams (``StreamingAudioEncoder``); ``encode(_:)`` is the batch form that
/// defines what they compute. Everything is channels-last, [column][frequency][channel]:
///
/// | data | shape for `n` frames of the committed model |
/// |---|---|
/// | log-mel | [n x 128 x 1] |
/// | `features.0` to `.1` | [n/2 x 64 x 8] |
/// | `features.2` to `.3` | [n/4 x 32 x 16] |
/// | `features.4` to `.6` | [n/8 x 16 x 16] |
/// | `features.7` to `.12` | [n/16 x 8 x 32 to 48] |
/// | `features.13` to `.15` | [n/16 x 4 x 64] |
/// | `features.16` | [n/16 x 4 x 384] |
/// | steps: mean over frequency | [n/16 x 384] |
///
/// Output j of a layer with k taps, stride s, dilation d and lookahead L reads input columns s·j + L - (k-1)·d + i·d,
/// i = 0 ..< k; columns before the first are zero, and an output whose columns are not all there yet is not given.
package struct AudioEncoder: Sendable {
    package let configuration: EncoderConfiguration
    /// Numbers per log-mel frame.
    package let melCount: Int
    let layers: [EncoderLayer]

    /// - Parameter configuration: Which of the model's encoders; nil for the stream's.
    /// - Throws: ``ModelError`` naming the tensor that is missing or has another shape than `config.json` says.
    package init(_ model: ModelDirectory, configuration: EncoderConfiguration? = nil) throws {
        self.configuration = configuration ?? model.configuration.encoder
        melCount = model.configuration.frontEnd.melCount
        var frequencies = melCount
        var layers: [EncoderLayer] = []
        for layer in self.configuration.layers {
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
