import TensorKernels

/// Memory that the layers of one stream share: each uses it within one call only.
struct LayerScratch {
    /// Depthwise outputs, and products before they are padded.
    let columns: AlignedBuffer
    /// Squeeze-and-excite vectors of one block.
    let vectors: AlignedBuffer
    let hidden: AlignedBuffer

    init(columns: Int, vectors: Int, hidden: Int) {
        self.columns = AlignedBuffer(count: columns)
        self.vectors = AlignedBuffer(count: vectors)
        self.hidden = AlignedBuffer(count: hidden)
    }
}

/// One layer with its kept state.
///
/// Final classes inside: each layer has one owner, the stream, and is called once per block of columns.
enum StreamingLayer {
    case convolution(StreamingConvolution)
    case invertedResidual(StreamingInvertedResidual)
    case pointwise(Linear, Activation, frequencies: Int)

    /// - Parameter block: input columns per call at most.
    init(_ layer: EncoderLayer, block: Int) {
        switch layer.weights {
        case .convolution(let kernel):
            self = .convolution(StreamingConvolution(layer, kernel, block: block))
        case .invertedResidual(let weights):
            self = .invertedResidual(StreamingInvertedResidual(layer, weights, block: block))
        case .pointwise(let linear):
            self = .pointwise(linear, layer.configuration.activation, frequencies: layer.inputFrequencies)
        }
    }

    /// - Parameters:
    ///   - input: [columnCount x input frequencies x input channels].
    ///   - output: written; room for the columns that come out.
    /// - Returns: columns written.
    func process(
        _ input: UnsafePointer<Float>, columnCount: Int, into output: UnsafeMutablePointer<Float>,
        scratch: LayerScratch
    ) -> Int {
        switch self {
        case .convolution(let layer):
            return layer.process(input, columnCount: columnCount, into: output)
        case .invertedResidual(let layer):
            return layer.process(input, columnCount: columnCount, into: output, scratch: scratch)
        case .pointwise(let linear, let activation, let frequencies):
            linear.apply(input, into: output, rows: columnCount * frequencies, activation: activation)
            return columnCount
        }
    }

    /// Input columns that an output column waits for.
    var lookahead: Int {
        switch self {
        case .convolution(let layer): layer.configuration.lookahead
        case .invertedResidual(let layer): layer.configuration.lookahead
        case .pointwise: 0
        }
    }

    /// One column of zeros after the last input, where the kernel over time reads: the zero padding of a whole clip.
    ///
    /// - Returns: columns written, 0 or 1.
    func pad(into output: UnsafeMutablePointer<Float>, scratch: LayerScratch) -> Int {
        switch self {
        case .convolution(let layer): layer.pad(into: output)
        case .invertedResidual(let layer): layer.pad(into: output, scratch: scratch)
        case .pointwise: 0
        }
    }

    /// - Parameter keepsMeans: running means of squeeze and excite go on.
    func reset(keepsMeans: Bool) {
        switch self {
        case .convolution(let layer): layer.reset()
        case .invertedResidual(let layer): layer.reset(keepsMean: keepsMeans)
        case .pointwise: break
        }
    }
}

/// A dense convolution over a stream of columns.
final class StreamingConvolution {
    let configuration: EncoderLayerConfiguration
    private let kernel: EncoderLayer.Kernel
    private let inputSize: Int
    private let outputSize: Int
    private let geometry: ConvolutionGeometry
    private var history: ColumnHistory

    init(_ layer: EncoderLayer, _ kernel: EncoderLayer.Kernel, block: Int) {
        configuration = layer.configuration
        self.kernel = kernel
        inputSize = layer.inputFrequencies * configuration.inputChannels
        outputSize = layer.outputFrequencies * configuration.outputChannels
        history = ColumnHistory(
            kept: configuration.history, block: block, frequencies: layer.inputFrequencies,
            channels: configuration.inputChannels, padding: configuration.kernel / 2)
        geometry = ConvolutionGeometry(
            kernel: configuration.kernel, tapStride: configuration.timeDilation * history.columnSize,
            frequencyStride: configuration.frequencyStride, outputFrequencies: layer.outputFrequencies)
        reset()
    }

    func reset() {
        history.reset(zeroColumns: configuration.history - configuration.lookahead)
    }

    func process(
        _ input: UnsafePointer<Float>, columnCount: Int, into output: UnsafeMutablePointer<Float>
    ) -> Int {
        let columns = history.append(columnCount)
        for column in 0..<columnCount {
            (columns + column * history.columnSize + history.margin).update(
                from: input + column * inputSize, count: inputSize)
        }
        return complete(into: output)
    }

    /// One column of zeros after the last input.
    func pad(into output: UnsafeMutablePointer<Float>) -> Int {
        history.append(1).update(repeating: 0, count: history.columnSize)
        return complete(into: output)
    }

    /// The output columns whose input is complete.
    private func complete(into output: UnsafeMutablePointer<Float>) -> Int {
        var written = 0
        while history.count > configuration.history {
            convolution(
                history.oldest, weight: kernel.weight.pointer, bias: kernel.bias.pointer,
                into: output + written * outputSize, geometry: geometry, inputChannels: configuration.inputChannels,
                outputChannels: configuration.outputChannels, activation: configuration.activation)
            history.drop(configuration.timeStride)
            written += 1
        }
        return written
    }
}
