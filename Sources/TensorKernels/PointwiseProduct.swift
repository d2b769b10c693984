/// `output = activation(input · weight + bias)` for few rows or short rows, where a BLAS call costs more than it saves:
/// bias and activation happen while the sums are still in registers.
///
/// - Parameters:
///   - input: [rows x inner].
///   - weight: [inner x columns].
///   - bias: [columns].
///   - output: [rows x columns]; must not overlap `input`.
///   - columns: a multiple of 8.
package func pointwiseProduct(
    _ input: UnsafePointer<Float>, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>,
    into output: UnsafeMutablePointer<Float>, rows: Int, inner: Int, columns: Int, activation: Activation
) {
    precondition(columns % 8 == 0, "\(columns) columns, not a multiple of 8")
    switch activation {
    case .none: pointwise(input, weight, bias, output, rows, inner, columns, LaneIdentity.self)
    case .relu: pointwise(input, weight, bias, output, rows, inner, columns, LaneReLU.self)
    case .hardswish: pointwise(input, weight, bias, output, rows, inner, columns, LaneHardswish.self)
    }
}

@inline(__always)
private func pointwise<A: LaneActivation>(
    _ input: UnsafePointer<Float>, _ weight: UnsafePointer<Float>, _ bias: UnsafePointer<Float>,
    _ output: UnsafeMutablePointer<Float>, _ rows: Int, _ inner: Int, _ columns: Int, _: A.Type
) {
    var row = 0
    // Four rows at a time share each load of the weights: eight registers of sums, of sixteen.
    while row + 4 <= rows {
        let a = input + row * inner
        let b = a + inner
        let c = b + inner
        let d = c + inner
        let destination = output + row * columns
        var column = 0
        while column < columns {
            let start = bias.lanes(column)
            var sumA = start
            var sumB = start
            var sumC = start
            var sumD = start
            var w = weight + column
            for k in 0..<inner {
                let lanes = w.lanes(0)
                sumA += lanes * a[k]
                sumB += lanes * b[k]
                sumC += lanes * c[k]
                sumD += lanes * d[k]
                w += columns
            }
            destination.store(A.apply(sumA), at: column)
            destination.store(A.apply(sumB), at: column + columns)
            destination.store(A.apply(sumC), at: column + 2 * columns)
            destination.store(A.apply(sumD), at: column + 3 * columns)
            column += 8
        }
        row += 4
    }
    while row < rows {
        let a = input + row * inner
        let destination = output + row * columns
        var column = 0
        while column < columns {
            var sum = bias.lanes(column)
            for k in 0..<inner { sum += weight.lanes(k * columns + column) * a[k] }
            destination.store(A.apply(sum), at: column)
            column += 8
        }
        row += 1
    }
}
