// The element-wise kernels of a BERT encoder, eight lanes at a time. Matrix products are `matrixMultiply`'s, the
// attention's softmax is `softmax`'s.

/// values = GELU(values + bias), with the error function (not its tanh approximation); equals
/// `torch.nn.functional.gelu(values + bias)` within 3e-7 + 3e-7 |x|.
///
/// - Parameters:
///   - values: [rows x columns], row-major, replaced; finite (an infinity gives NaN).
///   - bias: [columns].
package func addBiasThenGELU(
    _ values: UnsafeMutablePointer<Float>, bias: UnsafePointer<Float>, rows: Int, columns: Int
) {
    let vectorEnd = columns & ~7
    for row in 0..<rows {
        let base = values + row * columns
        var column = 0
        while column < vectorEnd {
            let x = base.lanes(column) + bias.lanes(column)
            base.store(gaussianErrorGELU(x), at: column)
            column += 8
        }
        if column < columns {
            let rest = columns - column
            let x =
                loadPartial(base + column, count: rest, padding: 0)
                + loadPartial(bias + column, count: rest, padding: 0)
            let y = gaussianErrorGELU(x)
            for lane in 0..<rest { base[column + lane] = y[lane] }
        }
    }
}

/// x/2 (1 + erf(x/√2)); erf by Abramowitz and Stegun, 7.1.26 (absolute error at most 1.5e-7).
@inline(__always)
private func gaussianErrorGELU(_ x: SIMD8<Float>) -> SIMD8<Float> {
    let z = x * 0.707_106_77
    let magnitude = z.replacing(with: -z, where: z .< 0)
    let t = 1 / (magnitude * 0.327_591_1 + 1)
    var p = t * 1.061_405_43 + -1.453_152_03
    p = p * t + 1.421_413_74
    p = p * t + -0.284_496_74
    p = p * t + 0.254_829_59
    // 1 - erf(|z|), which is what the negative side needs: no cancellation there.
    let complement = p * t * exponential(-(z * z))
    return (x * 0.5 * complement).replacing(with: x - x * 0.5 * complement, where: z .> 0)
}

/// values = LayerNorm(values + bias + residual); equals `torch.nn.functional.layer_norm`.
///
/// - Parameters:
///   - values: [rows x columns], row-major, replaced.
///   - bias: [columns], or nil.
///   - residual: [rows x columns], or nil; not `values` itself.
///   - weight: [columns], the scale γ.
///   - offset: [columns], the shift β.
///   - columns: ≥ 1.
///   - epsilon: added to the variance, > 0.
package func addThenLayerNormalize(
    _ values: UnsafeMutablePointer<Float>, bias: UnsafePointer<Float>?, residual: UnsafePointer<Float>?,
    weight: UnsafePointer<Float>, offset: UnsafePointer<Float>, rows: Int, columns: Int, epsilon: Float
) {
    for row in 0..<rows {
        let base = values + row * columns
        if let bias { add(bias, to: base, count: columns) }
        if let residual { add(residual + row * columns, to: base, count: columns) }
        let mean = sum(base, count: columns) / Float(columns)
        let variance = sumOfSquares(base, minus: mean, count: columns) / Float(columns)
        let scale = 1 / (variance + epsilon).squareRoot()
        let vectorEnd = columns & ~7
        var column = 0
        while column < vectorEnd {
            let y = (base.lanes(column) - mean) * scale * weight.lanes(column) + offset.lanes(column)
            base.store(y, at: column)
            column += 8
        }
        while column < columns {
            base[column] = (base[column] - mean) * scale * weight[column] + offset[column]
            column += 1
        }
    }
}

/// values[r] += bias for each row.
///
/// - Parameters:
///   - values: [rows x columns], row-major.
///   - bias: [columns].
package func addBias(
    _ bias: UnsafePointer<Float>, to values: UnsafeMutablePointer<Float>, rows: Int, columns: Int
) {
    for row in 0..<rows { add(bias, to: values + row * columns, count: columns) }
}

/// x / |x| of each row, |x| the Euclidean norm; rows of zeros stay (`torch.nn.functional.normalize`).
///
/// - Parameter values: [rows x columns], row-major, replaced.
package func normalizeRows(_ values: UnsafeMutablePointer<Float>, rows: Int, columns: Int, scale: Float = 1) {
    for row in 0..<rows {
        let base = values + row * columns
        let norm = max(sumOfSquares(base, minus: 0, count: columns).squareRoot(), 1e-12)
        for column in 0..<columns { base[column] *= scale / norm }
    }
}

private func sum(_ x: UnsafePointer<Float>, count: Int) -> Float {
    let vectorEnd = count & ~7
    var sums = SIMD8<Float>(repeating: 0)
    var index = 0
    while index < vectorEnd {
        sums += x.lanes(index)
        index += 8
    }
    var total = sums.sum()
    while index < count {
        total += x[index]
        index += 1
    }
    return total
}

private func sumOfSquares(_ x: UnsafePointer<Float>, minus mean: Float, count: Int) -> Float {
    let vectorEnd = count & ~7
    var sums = SIMD8<Float>(repeating: 0)
    var index = 0
    while index < vectorEnd {
        let d = x.lanes(index) - mean
        sums += d * d
        index += 8
    }
    var total = sums.sum()
    while index < count {
        let d = x[index] - mean
        total += d * d
        index += 1
    }
    return total
}
