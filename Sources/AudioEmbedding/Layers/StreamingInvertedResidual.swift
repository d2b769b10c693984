import TensorKernels

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// MobileNetV3's block over a stream of columns: expand, depthwise, squeeze and excite, project, residual.
///
/// The depthwise keeps the expanded columns that its taps still reach; the residual keeps the input columns whose
/// branch is not out yet (the lookahead).
final class StreamingInvertedResidual {
    let configuration: EncoderLayerConfiguration
    private let weights: EncoderLayer.InvertedResidual
    private let inputFrequencies: Int
    private let outputFrequencies: Int
    private let geometry: ConvolutionGeometry
    private var history: ColumnHistory
    /// Input columns not yet added to their outputs.
    private var skipped: ColumnHistory?
    private var mean: RunningMean?

    init(_ layer: EncoderLayer, _ weights: EncoderLayer.InvertedResidual, block: Int) {
        configuration = layer.configuration
        self.weights = weights
        inputFrequencies = layer.inputFrequencies
        outputFrequencies = layer.outputFrequencies
        history = ColumnHistory(
            kept: configuration.history, block: block, frequencies: inputFrequencies,
            channels: configuration.expandedChannels, padding: configuration.kernel / 2)
        geometry = ConvolutionGeometry(
            kernel: configuration.kernel, tapStride: configuration.timeDilation * history.columnSize,
            frequencyStride: configuration.frequencyStride, outputFrequencies: outputFrequencies)
        if configuration.residual {
            skipped = ColumnHistory(
                kept: configuration.lookahead, block: block, frequencies: inputFrequencies,
                channels: configuration.inputChannels, padding: 0)
        }
        if let squeeze = weights.squeeze {
            mean = RunningMean(window: squeeze.window, size: configuration.expandedChannels)
        }
        reset()
    }

    /// - Parameter keepsMean: the running mean of squeeze and excite goes on.
    func reset(keepsMean: Bool = false) {
        history.reset(zeroColumns: configuration.history - configuration.lookahead)
        skipped?.reset(zeroColumns: 0)
        if !keepsMean { mean?.reset() }
    }

    /// Numbers of `LayerScratch.columns` that a block needs.
    static func scratchColumns(_ layer: EncoderLayer, block: Int) -> Int {
        block * layer.inputFrequencies * layer.configuration.expandedChannels
    }

    func process(
        _ input: UnsafePointer<Float>, columnCount: Int, into output: UnsafeMutablePointer<Float>,
        scratch: LayerScratch
    ) -> Int {
        expand(input, columnCount: columnCount, scratch: scratch)
        if let columns = skipped?.append(columnCount) {
            columns.update(from: input, count: columnCount * inputFrequencies * configuration.inputChannels)
        }
        return complete(into: output, scratch: scratch)
    }

    /// One column of zeros in place of an expanded one, after the last input.
    func pad(into output: UnsafeMutablePointer<Float>, scratch: LayerScratch) -> Int {
        history.append(1).update(repeating: 0, count: history.columnSize)
        return complete(into: output, scratch: scratch)
    }

    /// The output columns whose input is complete.
    private func complete(into output: UnsafeMutablePointer<Float>, scratch: LayerScratch) -> Int {
        let expandedSize = outputFrequencies * configuration.expandedChannels
        var written = 0
        while history.count > configuration.history {
            depthwiseConvolution(
                history.oldest, weight: weights.depthwise.weight.pointer, bias: weights.depthwise.bias.pointer,
                into: scratch.columns.pointer + written * expandedSize, geometry: geometry,
                channels: configuration.expandedChannels, activation: configuration.activation)
            history.drop(configuration.timeStride)
            written += 1
        }
        if let squeeze = weights.squeeze, written > 0 {
            excite(squeeze, columnCount: written, scratch: scratch)
        }
        weights.project.apply(
            scratch.columns.pointer, into: output, rows: written * outputFrequencies, activation: .none)
        if let oldest = skipped?.oldest {
            // Input column j is added to output column j; columns ahead of their output wait.
            add(oldest, to: output, count: written * inputFrequencies * configuration.inputChannels)
            skipped?.drop(written)
        }
        return written
    }

    /// Appends the expanded input to the depthwise's history.
    private func expand(_ input: UnsafePointer<Float>, columnCount: Int, scratch: LayerScratch) {
        let columns = history.append(columnCount) + history.margin
        let inputSize = inputFrequencies * configuration.inputChannels
        guard let expand = weights.expand else {
            for column in 0..<columnCount {
                (columns + column * history.columnSize).update(from: input + column * inputSize, count: inputSize)
            }
            return
        }
        // One product for all columns; bias and activation then put them between their paddings.
        matrixMultiply(
            input, expand.weight.pointer, into: scratch.columns.pointer, rows: columnCount * inputFrequencies,
            columns: expand.outputs, inner: expand.inputs)
        for column in 0..<columnCount {
            addBias(
                expand.bias.pointer, to: scratch.columns.pointer + column * inputFrequencies * expand.outputs,
                into: columns + column * history.columnSize, rows: inputFrequencies, columns: expand.outputs,
                activation: configuration.activation)
        }
    }

    /// Scales each depthwise output column, in place, by its squeeze-and-excite gates.
    private func excite(_ squeeze: EncoderLayer.SqueezeExcite, columnCount: Int, scratch: LayerScratch) {
        let channels = configuration.expandedChannels
        let size = outputFrequencies * channels
        let gates = scratch.vectors.pointer
        for column in 0..<columnCount {
            meanOfRows(
                scratch.columns.pointer + column * size, into: gates + column * channels, rows: outputFrequencies,
                columns: channels)
            mean?.push(gates + column * channels, into: gates + column * channels)
        }
        squeeze.reduce.apply(gates, into: scratch.hidden.pointer, rows: columnCount, activation: .relu)
        squeeze.restore.apply(scratch.hidden.pointer, into: gates, rows: columnCount, activation: .none)
        sigmoid(gates, count: columnCount * channels)
        for column in 0..<columnCount {
            scaleRows(
                scratch.columns.pointer + column * size, by: gates + column * channels, rows: outputFrequencies,
                columns: channels)
        }
    }
}

/// x ← 1 / (1 + exp(-x)).
private func sigmoid(_ values: UnsafeMutablePointer<Float>, count: Int) {
    for i in 0..<count { values[i] = 1 / (1 + expf(-values[i])) }
}
