package import TensorKernels

/// The outcome of comparing an array with its reference, element by element.
///
/// Use as `let comparison = compare(…)` then `#expect(comparison.holds, "\(comparison)")`.
package struct Comparison: CustomStringConvertible, Sendable {
    /// Whether every |actual - expected| ≤ atol + rtol · |expected|, with equal counts and only finite numbers.
    package let holds: Bool
    /// The greatest |actual - expected|; not a number where an element is not.
    package let maximumDifference: Float
    package let description: String
}

/// Compares element-wise like numpy's `allclose`: |actual - expected| ≤ atol + rtol · |expected|.
package func compare(
    _ actual: [Float], _ expected: [Float], absolute: Float, relative: Float = 0, name: String = "values"
) -> Comparison {
    guard actual.count == expected.count else {
        return Comparison(
            holds: false, maximumDifference: .infinity,
            description: "\(name): \(actual.count) elements instead of \(expected.count)")
    }
    var holds = true
    var worst = (index: 0, excess: -Float.infinity)
    var maximum: Float = 0
    for index in actual.indices {
        let difference = abs(actual[index] - expected[index])
        let excess = difference - (absolute + relative * abs(expected[index]))
        guard excess <= 0 else {
            holds = false
            if !excess.isFinite {
                worst = (index, .infinity)
                maximum = difference
                break
            }
            if excess > worst.excess { worst = (index, excess) }
            maximum = max(maximum, difference)
            continue
        }
        if excess > worst.excess { worst = (index, excess) }
        maximum = max(maximum, difference)
    }
    guard !actual.isEmpty else {
        return Comparison(holds: true, maximumDifference: 0, description: "\(name): empty")
    }
    return Comparison(
        holds: holds, maximumDifference: maximum,
        description: "\(name): max difference \(maximum); nearest to or over tolerance at \(worst.index): "
            + "\(actual[worst.index]) for \(expected[worst.index]) (atol \(absolute), rtol \(relative))")
}

/// Compares matrices, sizes included.
package func compare(
    _ actual: Matrix, _ expected: Matrix, absolute: Float, relative: Float = 0, name: String = "matrix"
) -> Comparison {
    guard actual.rowCount == expected.rowCount, actual.columnCount == expected.columnCount else {
        return Comparison(
            holds: false, maximumDifference: .infinity,
            description: "\(name): \(actual.rowCount) x \(actual.columnCount) instead of "
                + "\(expected.rowCount) x \(expected.columnCount)")
    }
    return compare(actual.values, expected.values, absolute: absolute, relative: relative, name: name)
}
