import TensorKernels

/// The weights of one encoder layer, with batch norms folded in by the exporter.
///
/// Data between layers is [column][frequency][channel].
struct EncoderLayer: Sendable {
    let configuration: EncoderLayerConfiguration
    let inputFrequencies: Int
    let outputFrequencies: Int
    let weights: Weights

    enum Weights: Sendable {
        case convolution(Kernel)
        case invertedResidual(InvertedResidual)
        case pointwise(Linear)
    }

    /// A convolution's taps.
    struct Kernel: Sendable {
        /// [time x frequency x input x output channels], or [time x frequency x channels] for a depthwise one.
        let weight: AlignedBuffer
        /// [output channels].
        let bias: AlignedBuffer

        init(_ tensors: SafetensorsFile, name: String, shape: [Int]) throws {
            weight = AlignedBuffer(try tensors.floats(name + ".weight", shape: shape))
            bias = AlignedBuffer(try tensors.floats(name + ".bias", shape: [shape[shape.count - 1]]))
        }
    }

    /// MobileNetV3's block.
    struct InvertedResidual: Sendable {
        /// input → expanded channels; nil where they are equal.
        let expand: Linear?
        let depthwise: Kernel
        let squeeze: SqueezeExcite?
        /// expanded → output channels, without activation.
        let project: Linear
    }

    /// mean → `reduce` → ReLU → `restore` → sigmoid → scale.
    struct SqueezeExcite: Sendable {
        let reduce: Linear
        let restore: Linear
        /// Columns that the mean is taken over.
        let window: Int
    }

    /// - Parameters:
    ///   - configuration: validated.
    ///   - inputFrequencies: frequencies of the layer before.
    /// - Throws: ``ModelError`` for a missing or misshapen tensor.
    init(
        _ configuration: EncoderLayerConfiguration, inputFrequencies: Int, tensors: SafetensorsFile
    ) throws {
        self.configuration = configuration
        self.inputFrequencies = inputFrequencies
        outputFrequencies = configuration.outputFrequencies(for: inputFrequencies)
        let name = configuration.name
        let kernel = configuration.kernel
        let input = configuration.inputChannels
        let output = configuration.outputChannels
        switch configuration.kind {
        case .convolution:
            weights = .convolution(try Kernel(tensors, name: name, shape: [kernel, kernel, input, output]))
        case .pointwise:
            weights = .pointwise(try Linear(tensors, name: name, inputs: input, outputs: output))
        case .invertedResidual:
            let expanded = configuration.expandedChannels
            var squeeze: SqueezeExcite?
            if let hidden = configuration.squeezeChannels, let window = configuration.squeezeWindow {
                squeeze = SqueezeExcite(
                    reduce: try Linear(tensors, name: name + ".squeeze.fc1", inputs: expanded, outputs: hidden),
                    restore: try Linear(tensors, name: name + ".squeeze.fc2", inputs: hidden, outputs: expanded),
                    window: window)
            }
            weights = .invertedResidual(
                InvertedResidual(
                    expand: configuration.expand
                        ? try Linear(tensors, name: name + ".expand", inputs: input, outputs: expanded) : nil,
                    depthwise: try Kernel(tensors, name: name + ".depthwise", shape: [kernel, kernel, expanded]),
                    squeeze: squeeze,
                    project: try Linear(tensors, name: name + ".project", inputs: expanded, outputs: output)))
        }
    }
}
