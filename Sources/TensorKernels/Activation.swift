/// What follows a matrix product or a convolution.
package enum Activation: String, Codable, Sendable, CaseIterable {
    case none
    case relu
    /// x · min(max(x + 3, 0), 6) / 6, as `torch.nn.Hardswish`.
    case hardswish

    /// The definition, for one number.
    package func callAsFunction(_ x: Float) -> Float {
        switch self {
        case .none: x
        case .relu: max(x, 0)
        case .hardswish: x * min(max(x + 3, 0), 6) / 6
        }
    }
}

/// Eight lanes of an ``Activation``, chosen at compile time so that kernels have no branch inside.
protocol LaneActivation {
    static func apply(_ x: SIMD8<Float>) -> SIMD8<Float>
}

enum LaneIdentity: LaneActivation {
    @inline(__always) static func apply(_ x: SIMD8<Float>) -> SIMD8<Float> { x }
}

enum LaneReLU: LaneActivation {
    @inline(__always) static func apply(_ x: SIMD8<Float>) -> SIMD8<Float> {
        x.replacing(with: 0, where: x .< 0)
    }
}

enum LaneHardswish: LaneActivation {
    @inline(__always) static func apply(_ x: SIMD8<Float>) -> SIMD8<Float> {
        var gate = x + 3
        gate.replace(with: 0, where: gate .< 0)
        gate.replace(with: 6, where: gate .> 6)
        return x * gate * (1 / 6)
    }
}

extension UnsafePointer<Float> {
    /// Eight numbers from `offset` on, of any alignment.
    @inline(__always) func lanes(_ offset: Int) -> SIMD8<Float> {
        UnsafeRawPointer(self + offset).loadUnaligned(as: SIMD8<Float>.self)
    }
}

extension UnsafeMutablePointer<Float> {
    @inline(__always) func lanes(_ offset: Int) -> SIMD8<Float> {
        UnsafeRawPointer(self + offset).loadUnaligned(as: SIMD8<Float>.self)
    }

    @inline(__always) func store(_ lanes: SIMD8<Float>, at offset: Int) {
        UnsafeMutableRawPointer(self + offset).storeBytes(of: lanes, as: SIMD8<Float>.self)
    }
}

/// `output[r][c] = activation(input[r][c] + bias[c])`.
///
/// - Parameters:
///   - input: [rows x columns].
///   - bias: [columns].
///   - output: [rows x columns]; may be `input` itself.
package func addBias(
    _ bias: UnsafePointer<Float>, to input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, rows: Int,
    columns: Int, activation: Activation
) {
    switch activation {
    case .none: addBias(bias, input, output, rows, columns, activation, LaneIdentity.self)
    case .relu: addBias(bias, input, output, rows, columns, activation, LaneReLU.self)
    case .hardswish: addBias(bias, input, output, rows, columns, activation, LaneHardswish.self)
    }
}

@inline(__always)
private func addBias<A: LaneActivation>(
    _ bias: UnsafePointer<Float>, _ input: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>, _ rows: Int,
    _ columns: Int, _ activation: Activation, _: A.Type
) {
    let vectorised = columns & ~7
    for row in 0..<rows {
        let source = input + row * columns
        let destination = output + row * columns
        var column = 0
        while column < vectorised {
            destination.store(A.apply(source.lanes(column) + bias.lanes(column)), at: column)
            column += 8
        }
        while column < columns {
            destination[column] = activation(source[column] + bias[column])
            column += 1
        }
    }
}

/// `target += other`, both [count].
package func add(_ other: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>, count: Int) {
    var i = 0
    while i + 8 <= count {
        target.store(target.lanes(i) + other.lanes(i), at: i)
        i += 8
    }
    while i < count {
        target[i] += other[i]
        i += 1
    }
}

/// `mean[c] = Σ_r input[r][c] / rows`.
///
/// - Parameters:
///   - input: [rows x columns], rows ≥ 1.
///   - mean: [columns], written; must not overlap `input`.
package func meanOfRows(
    _ input: UnsafePointer<Float>, into mean: UnsafeMutablePointer<Float>, rows: Int, columns: Int
) {
    mean.update(from: input, count: columns)
    for row in 1..<max(rows, 1) { add(input + row * columns, to: mean, count: columns) }
    let scale = 1 / Float(rows)
    for column in 0..<columns { mean[column] *= scale }
}

/// `values[r][c] *= scale[c]`, with `values` [rows x columns] and `scale` [columns].
package func scaleRows(
    _ values: UnsafeMutablePointer<Float>, by scale: UnsafePointer<Float>, rows: Int, columns: Int
) {
    for row in 0..<rows {
        let target = values + row * columns
        for column in 0..<columns { target[column] *= scale[column] }
    }
}
