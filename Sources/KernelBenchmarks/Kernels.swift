import TensorKernels

/// Numbers that are no special case for any kernel.
func numbers(_ count: Int) -> AlignedBuffer {
    AlignedBuffer((0..<count).map { Float(($0 &* 7919) % 1009) / 1009 - 0.5 })
}

/// Matrix products of the shapes that the encoder has, per call of 32 frames: by BLAS with bias and activation
/// afterwards, and naively.
func benchmarkProducts() {
    print("product + bias + hardswish (rows x inner x columns)")
    for (rows, inner, columns) in [
        (1024, 8, 24), (512, 16, 32), (256, 24, 16), (128, 48, 16), (64, 16, 96), (16, 32, 192), (16, 48, 272),
        (16, 192, 48), (8, 272, 64), (8, 64, 384), (8, 384, 64), (2, 272, 72), (1, 384, 512), (1, 896, 512),
    ] {
        let a = numbers(rows * inner)
        let b = numbers(inner * columns)
        let bias = numbers(columns)
        let c = AlignedBuffer(count: rows * columns)
        let operations = 2 * Double(rows * inner * columns)
        let naive = medianTime(repeats: 5) {
            naiveProduct(a.pointer, b.pointer, bias.pointer, c.pointer, rows, inner, columns)
        }
        let blas = medianTime {
            matrixMultiply(a.pointer, b.pointer, into: c.pointer, rows: rows, columns: columns, inner: inner)
            addBias(
                bias.pointer, to: c.pointer, into: c.pointer, rows: rows, columns: columns, activation: .hardswish)
        }
        report("  \(rows) x \(inner) x \(columns)", fast: blas, naive: naive, operations: operations)
    }
}

private func naiveProduct(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ bias: UnsafePointer<Float>,
    _ c: UnsafeMutablePointer<Float>, _ rows: Int, _ inner: Int, _ columns: Int
) {
    for row in 0..<rows {
        for column in 0..<columns {
            var sum = bias[column]
            for k in 0..<inner { sum += a[row * inner + k] * b[k * columns + column] }
            c[row * columns + column] = Activation.hardswish(sum)
        }
    }
}

/// One output column of each convolution shape.
func benchmarkConvolutions() {
    print("\nconvolution, one column (kernel, output frequencies, channels)")
    for (kernel, frequencies, channels, stride) in [
        (3, 64, 8, 1), (3, 32, 24, 2), (5, 16, 48, 1), (5, 4, 384, 1),
    ] {
        let size = (frequencies * stride + kernel) * channels
        let x = numbers(kernel * size)
        let w = numbers(kernel * kernel * channels)
        let bias = numbers(channels)
        let y = AlignedBuffer(count: frequencies * channels)
        let geometry = ConvolutionGeometry(
            kernel: kernel, tapStride: size, frequencyStride: stride, outputFrequencies: frequencies)
        let fast = medianTime {
            depthwiseConvolution(
                x.pointer, weight: w.pointer, bias: bias.pointer, into: y.pointer, geometry: geometry,
                channels: channels, activation: .hardswish)
        }
        let naive = medianTime(repeats: 5) {
            naiveDepthwise(x.pointer, w.pointer, bias.pointer, y.pointer, geometry, channels)
        }
        report(
            "  depthwise \(kernel) x \(kernel), \(frequencies), \(channels)", fast: fast, naive: naive,
            operations: 2 * Double(kernel * kernel * frequencies * channels))
    }
}

private func naiveDepthwise(
    _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>, _ bias: UnsafePointer<Float>,
    _ y: UnsafeMutablePointer<Float>, _ geometry: ConvolutionGeometry, _ channels: Int
) {
    for f in 0..<geometry.outputFrequencies {
        for c in 0..<channels {
            var sum = bias[c]
            for i in 0..<geometry.kernel {
                for k in 0..<geometry.kernel {
                    sum +=
                        w[(i * geometry.kernel + k) * channels + c]
                        * x[i * geometry.tapStride + (f * geometry.frequencyStride + k) * channels + c]
                }
            }
            y[f * channels + c] = Activation.hardswish(sum)
        }
    }
}
