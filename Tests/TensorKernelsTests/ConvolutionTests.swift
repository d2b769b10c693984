import TensorKernels
import TestSupport
import Testing

/// The lane kernels against sums written out, on odd sizes.
@Suite struct ConvolutionTests {
    private func buffer(_ count: Int, seed: UInt64) -> AlignedBuffer {
        var generator = SeededGenerator(seed: seed)
        return AlignedBuffer(generator.floats(count))
    }

    @Test(arguments: [1, 3, 5], [1, 2, 3])
    func depthwise(kernel: Int, stride: Int) {
        for (frequencies, channels) in [(1, 8), (3, 16), (4, 8), (5, 24), (9, 8)] {
            let rows = (frequencies - 1) * stride + kernel
            let tapStride = (rows + 1) * channels
            let x = buffer(kernel * tapStride, seed: 1)
            let w = buffer(kernel * kernel * channels, seed: 2)
            let b = buffer(channels, seed: 3)
            let y = AlignedBuffer(count: frequencies * channels)
            let geometry = ConvolutionGeometry(
                kernel: kernel, tapStride: tapStride, frequencyStride: stride, outputFrequencies: frequencies)
            for activation in Activation.allCases {
                depthwiseConvolution(
                    x.pointer, weight: w.pointer, bias: b.pointer, into: y.pointer, geometry: geometry,
                    channels: channels, activation: activation)
                var expected: [Float] = []
                for f in 0..<frequencies {
                    for c in 0..<channels {
                        var sum = b.pointer[c]
                        for i in 0..<kernel {
                            for k in 0..<kernel {
                                sum +=
                                    w.pointer[(i * kernel + k) * channels + c]
                                    * x.pointer[i * tapStride + (f * stride + k) * channels + c]
                            }
                        }
                        expected.append(activation(sum))
                    }
                }
                let comparison = compare(y.values, expected, absolute: 1e-5, name: "\(frequencies) x \(channels)")
                #expect(comparison.holds, "\(comparison)")
            }
        }
    }

    @Test(arguments: [1, 3, 5], [1, 2])
    func dense(kernel: Int, stride: Int) {
        for (frequencies, inputs, outputs) in [(1, 1, 8), (7, 1, 8), (4, 3, 16), (5, 8, 8)] {
            let rows = (frequencies - 1) * stride + kernel
            let tapStride = rows * inputs
            let x = buffer(kernel * tapStride, seed: 4)
            let w = buffer(kernel * kernel * inputs * outputs, seed: 5)
            let b = buffer(outputs, seed: 6)
            let y = AlignedBuffer(count: frequencies * outputs)
            for activation in Activation.allCases {
                convolution(
                    x.pointer, weight: w.pointer, bias: b.pointer, into: y.pointer,
                    geometry: ConvolutionGeometry(
                        kernel: kernel, tapStride: tapStride, frequencyStride: stride, outputFrequencies: frequencies),
                    inputChannels: inputs, outputChannels: outputs, activation: activation)
                var expected: [Float] = []
                for f in 0..<frequencies {
                    for o in 0..<outputs {
                        var sum = b.pointer[o]
                        for i in 0..<kernel {
                            for k in 0..<kernel {
                                for c in 0..<inputs {
                                    sum +=
                                        w.pointer[((i * kernel + k) * inputs + c) * outputs + o]
                                        * x.pointer[i * tapStride + (f * stride + k) * inputs + c]
                                }
                            }
                        }
                        expected.append(activation(sum))
                    }
                }
                let comparison = compare(y.values, expected, absolute: 1e-5, name: "\(frequencies), \(inputs)")
                #expect(comparison.holds, "\(comparison)")
            }
        }
    }
}
