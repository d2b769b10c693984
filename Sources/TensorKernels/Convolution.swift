/// The geometry of one output column of a convolution over [column][frequency][channel] data.
///
/// Input columns carry zero padding in frequency: (kernel - 1) / 2 rows before and at least as many after the data, so
/// that no tap needs a test.
package struct ConvolutionGeometry: Sendable {
    /// Taps in time and in frequency.
    package var kernel: Int
    /// Numbers from one tap's column to the next: dilation · padded frequencies · channels.
    package var tapStride: Int
    package var frequencyStride: Int
    package var outputFrequencies: Int

    package init(kernel: Int, tapStride: Int, frequencyStride: Int, outputFrequencies: Int) {
        self.kernel = kernel
        self.tapStride = tapStride
        self.frequencyStride = frequencyStride
        self.outputFrequencies = outputFrequencies
    }
}

/// One output column of a depthwise convolution, with bias and activation.
///
/// `output[f][c] = activation(bias[c] + Σ weight[i][k][c] · column_i[f · frequencyStride + k][c])`, where column i
/// begins at `input + i · tapStride` and k counts padded frequencies.
///
/// - Parameters:
///   - input: first number of the earliest tap's padded column, [padded frequencies x channels].
///   - weight: [kernel x kernel x channels], time first.
///   - bias: [channels].
///   - output: [outputFrequencies x channels].
///   - channels: a multiple of 8.
package func depthwiseConvolution(
    _ input: UnsafePointer<Float>, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>,
    into output: UnsafeMutablePointer<Float>, geometry: ConvolutionGeometry, channels: Int, activation: Activation
) {
    precondition(channels % 8 == 0, "\(channels) channels, not a multiple of 8")
    switch activation {
    case .none: depthwise(input, weight, bias, output, geometry, channels, LaneIdentity.self)
    case .relu: depthwise(input, weight, bias, output, geometry, channels, LaneReLU.self)
    case .hardswish: depthwise(input, weight, bias, output, geometry, channels, LaneHardswish.self)
    }
}

@inline(__always)
private func depthwise<A: LaneActivation>(
    _ input: UnsafePointer<Float>, _ weight: UnsafePointer<Float>, _ bias: UnsafePointer<Float>,
    _ output: UnsafeMutablePointer<Float>, _ geometry: ConvolutionGeometry, _ channels: Int, _: A.Type
) {
    let kernel = geometry.kernel
    let step = geometry.frequencyStride * channels
    let frequencies = geometry.outputFrequencies
    var channel = 0
    while channel < channels {
        let start = bias.lanes(channel)
        var frequency = 0
        // Four output frequencies at a time share each load of the weights.
        while frequency + 4 <= frequencies {
            var sum0 = start
            var sum1 = start
            var sum2 = start
            var sum3 = start
            var w = weight + channel
            for i in 0..<kernel {
                var x = input + i * geometry.tapStride + frequency * step + channel
                for _ in 0..<kernel {
                    let lanes = w.lanes(0)
                    sum0 += lanes * x.lanes(0)
                    sum1 += lanes * x.lanes(step)
                    sum2 += lanes * x.lanes(2 * step)
                    sum3 += lanes * x.lanes(3 * step)
                    w += channels
                    x += channels
                }
            }
            let destination = output + frequency * channels + channel
            destination.store(A.apply(sum0), at: 0)
            destination.store(A.apply(sum1), at: channels)
            destination.store(A.apply(sum2), at: 2 * channels)
            destination.store(A.apply(sum3), at: 3 * channels)
            frequency += 4
        }
        while frequency < frequencies {
            var sum = start
            for i in 0..<kernel {
                let x = input + i * geometry.tapStride + frequency * step + channel
                for k in 0..<kernel {
                    sum += weight.lanes((i * kernel + k) * channels + channel) * x.lanes(k * channels)
                }
            }
            (output + frequency * channels + channel).store(A.apply(sum), at: 0)
            frequency += 1
        }
        channel += 8
    }
}

/// One output column of a dense convolution, with bias and activation.
///
/// `output[f][o] = activation(bias[o] + Σ weight[i][k][c][o] · column_i[f · frequencyStride + k][c])`.
///
/// - Parameters:
///   - input: first number of the earliest tap's padded column, [padded frequencies x inputChannels].
///   - weight: [kernel x kernel x inputChannels x outputChannels], time first.
///   - bias: [outputChannels].
///   - output: [outputFrequencies x outputChannels].
///   - outputChannels: a multiple of 8.
package func convolution(
    _ input: UnsafePointer<Float>, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>,
    into output: UnsafeMutablePointer<Float>, geometry: ConvolutionGeometry, inputChannels: Int, outputChannels: Int,
    activation: Activation
) {
    precondition(outputChannels % 8 == 0, "\(outputChannels) channels, not a multiple of 8")
    switch activation {
    case .none: dense(input, weight, bias, output, geometry, inputChannels, outputChannels, LaneIdentity.self)
    case .relu: dense(input, weight, bias, output, geometry, inputChannels, outputChannels, LaneReLU.self)
    case .hardswish: dense(input, weight, bias, output, geometry, inputChannels, outputChannels, LaneHardswish.self)
    }
}

@inline(__always)
private func dense<A: LaneActivation>(
    _ input: UnsafePointer<Float>, _ weight: UnsafePointer<Float>, _ bias: UnsafePointer<Float>,
    _ output: UnsafeMutablePointer<Float>, _ geometry: ConvolutionGeometry, _ inputChannels: Int,
    _ outputChannels: Int, _: A.Type
) {
    let kernel = geometry.kernel
    // The taps of one column, over frequency and channels, lie side by side in input and weight alike.
    let run = kernel * inputChannels
    let step = geometry.frequencyStride * inputChannels
    let frequencies = geometry.outputFrequencies
    var channel = 0
    while channel < outputChannels {
        let start = bias.lanes(channel)
        var frequency = 0
        while frequency + 4 <= frequencies {
            var sum0 = start
            var sum1 = start
            var sum2 = start
            var sum3 = start
            var w = weight + channel
            for i in 0..<kernel {
                let x = input + i * geometry.tapStride + frequency * step
                for k in 0..<run {
                    let lanes = w.lanes(0)
                    sum0 += lanes * x[k]
                    sum1 += lanes * x[k + step]
                    sum2 += lanes * x[k + 2 * step]
                    sum3 += lanes * x[k + 3 * step]
                    w += outputChannels
                }
            }
            let destination = output + frequency * outputChannels + channel
            destination.store(A.apply(sum0), at: 0)
            destination.store(A.apply(sum1), at: outputChannels)
            destination.store(A.apply(sum2), at: 2 * outputChannels)
            destination.store(A.apply(sum3), at: 3 * outputChannels)
            frequency += 4
        }
        while frequency < frequencies {
            var sum = start
            for i in 0..<kernel {
                let x = input + i * geometry.tapStride + frequency * step
                for k in 0..<run { sum += weight.lanes((i * run + k) * outputChannels + channel) * x[k] }
            }
            (output + frequency * outputChannels + channel).store(A.apply(sum), at: 0)
            frequency += 1
        }
        channel += 8
    }
}
