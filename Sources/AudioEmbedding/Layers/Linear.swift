import TensorKernels

/// y = x · W + b over channels, with row vectors.
struct Linear: Sendable {
    let inputs: Int
    let outputs: Int
    /// [inputs x outputs].
    let weight: AlignedBuffer
    /// [outputs].
    let bias: AlignedBuffer

    /// Reads `<name>.weight` [inputs, outputs] and `<name>.bias` [outputs].
    init(_ tensors: SafetensorsFile, name: String, inputs: Int, outputs: Int) throws {
        self.inputs = inputs
        self.outputs = outputs
        weight = AlignedBuffer(try tensors.floats(name + ".weight", shape: [inputs, outputs]))
        bias = AlignedBuffer(try tensors.floats(name + ".bias", shape: [outputs]))
    }

    /// - Parameters:
    ///   - input: [rows x inputs].
    ///   - output: [rows x outputs], written; must not overlap `input`.
    func apply(
        _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, rows: Int, activation: Activation
    ) {
        matrixMultiply(input, weight.pointer, into: output, rows: rows, columns: outputs, inner: inputs)
        addBias(bias.pointer, to: output, into: output, rows: rows, columns: outputs, activation: activation)
    }
}
