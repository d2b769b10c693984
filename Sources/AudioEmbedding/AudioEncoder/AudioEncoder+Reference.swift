package import TensorKernels

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// What one layer gives for a whole clip.
package struct LayerOutput: Sendable {
    /// The layer's name, such as `features.3`.
    package let name: String
    package let columns: Int
    package let frequencies: Int
    package let channels: Int
    /// [columns x frequencies x channels].
    package var values: [Float]

    /// The number at a place; zero outside, which is the padding of every convolution.
    fileprivate subscript(column: Int, frequency: Int, channel: Int) -> Float {
        guard (0..<columns).contains(column), (0..<frequencies).contains(frequency) else { return 0 }
        return values[(column * frequencies + frequency) * channels + channel]
    }
}

/// The batch form, straight from the definition, one scalar sum per output: the reference for the streaming form.
extension AudioEncoder {
    /// - Parameters:
    ///   - logMel: [frameCount x melCount].
    ///   - isPadded: zeros after the last column of each layer too, as before the first; else only the columns whose
    ///     lookahead is there come out.
    /// - Returns: [stepCount x embeddingSize]: the last layer's mean over frequency.
    package func encode(_ logMel: Matrix, isPadded: Bool = false) -> Matrix {
        guard let last = layerOutputs(logMel, isPadded: isPadded).last else {
            return Matrix(rowCount: 0, columnCount: embeddingSize)
        }
        var steps = Matrix(rowCount: last.columns, columnCount: last.channels)
        for column in 0..<last.columns {
            for channel in 0..<last.channels {
                var sum: Float = 0
                for frequency in 0..<last.frequencies { sum += last[column, frequency, channel] }
                steps[column, channel] = sum / Float(last.frequencies)
            }
        }
        return steps
    }

    /// The output of every layer, in order.
    ///
    /// - Parameter logMel: [frameCount x melCount].
    package func layerOutputs(_ logMel: Matrix, isPadded: Bool = false) -> [LayerOutput] {
        precondition(logMel.columnCount == melCount, "\(logMel.columnCount) mel bands instead of \(melCount)")
        var current = LayerOutput(
            name: "logmel", columns: logMel.rowCount, frequencies: melCount, channels: 1, values: logMel.values)
        return layers.map { layer in
            current = reference(layer, current, isPadded)
            return current
        }
    }

    private func reference(_ layer: EncoderLayer, _ input: LayerOutput, _ isPadded: Bool) -> LayerOutput {
        let activation = layer.configuration.activation
        switch layer.weights {
        case .convolution(let kernel):
            return convolve(layer, kernel, input, isPadded)
        case .pointwise(let linear):
            return apply(linear, activation, input, name: layer.configuration.name)
        case .invertedResidual(let weights):
            let expanded = weights.expand.map { apply($0, activation, input, name: "") } ?? input
            var branch = depthwise(layer, weights.depthwise, expanded, isPadded)
            if let squeeze = weights.squeeze { branch = excite(squeeze, branch) }
            var output = apply(weights.project, .none, branch, name: layer.configuration.name)
            if layer.configuration.residual {
                for index in output.values.indices { output.values[index] += input.values[index] }
            }
            return output
        }
    }

    /// out[j] = Σ_i in[stride · j + lookahead - (k - 1) · dilation + i · dilation], over all input channels.
    private func convolve(
        _ layer: EncoderLayer, _ kernel: EncoderLayer.Kernel, _ input: LayerOutput, _ isPadded: Bool
    ) -> LayerOutput {
        let configuration = layer.configuration
        let outputs = configuration.outputChannels
        let weight = kernel.weight.values
        return compute(layer, channels: outputs, columns: input.columns, isPadded) { column, frequency, channel in
            var sum = kernel.bias.pointer[channel]
            for i in 0..<configuration.kernel {
                for k in 0..<configuration.kernel {
                    for c in 0..<input.channels {
                        sum +=
                            weight[((i * configuration.kernel + k) * input.channels + c) * outputs + channel]
                            * input[configuration.inputColumn(column, i), configuration.inputRow(frequency, k), c]
                    }
                }
            }
            return configuration.activation(sum)
        }
    }

    private func depthwise(
        _ layer: EncoderLayer, _ kernel: EncoderLayer.Kernel, _ input: LayerOutput, _ isPadded: Bool
    ) -> LayerOutput {
        let configuration = layer.configuration
        let weight = kernel.weight.values
        return compute(layer, channels: input.channels, columns: input.columns, isPadded) {
            column, frequency, channel in
            var sum = kernel.bias.pointer[channel]
            for i in 0..<configuration.kernel {
                for k in 0..<configuration.kernel {
                    sum +=
                        weight[(i * configuration.kernel + k) * input.channels + channel]
                        * input[configuration.inputColumn(column, i), configuration.inputRow(frequency, k), channel]
                }
            }
            return configuration.activation(sum)
        }
    }

    private func compute(
        _ layer: EncoderLayer, channels: Int, columns: Int, _ isPadded: Bool, _ value: (Int, Int, Int) -> Float
    ) -> LayerOutput {
        let ahead = isPadded ? layer.configuration.lookahead : 0
        let outputColumns = layer.configuration.outputColumns(for: columns + ahead)
        var values: [Float] = []
        values.reserveCapacity(outputColumns * layer.outputFrequencies * channels)
        for column in 0..<outputColumns {
            for frequency in 0..<layer.outputFrequencies {
                for channel in 0..<channels { values.append(value(column, frequency, channel)) }
            }
        }
        return LayerOutput(
            name: layer.configuration.name, columns: outputColumns, frequencies: layer.outputFrequencies,
            channels: channels, values: values)
    }

    private func apply(_ linear: Linear, _ activation: Activation, _ input: LayerOutput, name: String) -> LayerOutput {
        let rows = input.columns * input.frequencies
        let weight = linear.weight.values
        var values: [Float] = []
        values.reserveCapacity(rows * linear.outputs)
        for row in 0..<rows {
            for output in 0..<linear.outputs {
                var sum = linear.bias.pointer[output]
                for i in 0..<linear.inputs {
                    sum += input.values[row * linear.inputs + i] * weight[i * linear.outputs + output]
                }
                values.append(activation(sum))
            }
        }
        return LayerOutput(
            name: name, columns: input.columns, frequencies: input.frequencies, channels: linear.outputs,
            values: values)
    }

    /// Scales column j by gates from the mean over frequency and over the columns j - window + 1 ... j that exist.
    private func excite(_ squeeze: EncoderLayer.SqueezeExcite, _ input: LayerOutput) -> LayerOutput {
        var output = input
        for column in 0..<input.columns {
            let first = max(0, column - squeeze.window + 1)
            let mean = (0..<input.channels).map { channel in
                var sum: Double = 0
                for c in first...column {
                    for frequency in 0..<input.frequencies { sum += Double(input[c, frequency, channel]) }
                }
                return Float(sum / Double((column - first + 1) * input.frequencies))
            }
            let vector = LayerOutput(name: "", columns: 1, frequencies: 1, channels: input.channels, values: mean)
            let gates = apply(squeeze.restore, .none, apply(squeeze.reduce, .relu, vector, name: ""), name: "").values
            for frequency in 0..<input.frequencies {
                for channel in 0..<input.channels {
                    let index = (column * input.frequencies + frequency) * input.channels + channel
                    output.values[index] *= 1 / (1 + exp(-gates[channel]))
                }
            }
        }
        return output
    }
}

extension EncoderLayerConfiguration {
    /// The input column that tap `i` of output column `j` reads; negative ones are zero.
    fileprivate func inputColumn(_ j: Int, _ i: Int) -> Int {
        timeStride * j + lookahead - (kernel - 1) * timeDilation + i * timeDilation
    }

    /// The input frequency that tap `k` of output frequency `f` reads; those outside are zero.
    fileprivate func inputRow(_ f: Int, _ k: Int) -> Int {
        frequencyStride * f - (kernel - 1) / 2 + k
    }
}
