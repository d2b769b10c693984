package import TensorKernels

/// Cost matrices between two sets of row vectors, by the conventions of `ot.dist`.
///
/// x is [n x d], y is [m x d], the result [n x m]. Distances are summed from differences rather than expanded as
/// |x|² + |y|² - 2 x·y, so near points keep their digits in `Float`.
package enum CostMatrix {
    /// C(i, j) = |x_i - y_j|²; equals `ot.dist(x, y)` (metric `sqeuclidean`).
    package static func squaredEuclidean(_ x: Matrix, _ y: Matrix) -> Matrix {
        precondition(
            x.columnCount == y.columnCount, "vectors differ in length: \(x.columnCount) and \(y.columnCount)")
        var cost = Matrix(rowCount: x.rowCount, columnCount: y.rowCount)
        let length = x.columnCount
        x.values.withUnsafeBufferPointer { xs in
            y.values.withUnsafeBufferPointer { ys in
                cost.values.withUnsafeMutableBufferPointer { out in
                    guard let x0 = xs.baseAddress, let y0 = ys.baseAddress else { return }
                    for i in 0..<x.rowCount {
                        for j in 0..<y.rowCount {
                            out[i * y.rowCount + j] = squaredDistance(x0 + i * length, y0 + j * length, count: length)
                        }
                    }
                }
            }
        }
        return cost
    }

    /// C(i, j) = |x_i - y_j|; equals `ot.dist(x, y, metric="euclidean")`.
    package static func euclidean(_ x: Matrix, _ y: Matrix) -> Matrix {
        squareRoot(of: squaredEuclidean(x, y))
    }

    /// C(i, j) = 1 - x_i·y_j / (|x_i| |y_j|), in 0...2; equals `ot.dist(x, y, metric="cosine")`.
    ///
    /// A zero vector is at right angles to all others (cost 1), where SciPy gives NaN.
    package static func cosine(_ x: Matrix, _ y: Matrix) -> Matrix {
        var cost = matrixMultiply(normalized(x), normalized(y), transposingB: true)
        for index in cost.values.indices { cost.values[index] = max(1 - cost.values[index], 0) }
        return cost
    }

    /// C(i, j) = √((x_i - y_j)ᵀ M (x_i - y_j)) with M = LᵀL, or its square; the ground metric of m-LTM
    /// (arXiv 2405.10084). Equals `ot.dist(x, y, metric="mahalanobis", VI=M)`.
    ///
    /// - Parameters:
    ///   - factor: L, [r x d].
    ///   - squared: leaves out the root.
    package static func mahalanobis(_ x: Matrix, _ y: Matrix, factor: Matrix, squared: Bool = false) -> Matrix {
        precondition(
            factor.columnCount == x.columnCount,
            "the factor takes vectors of \(factor.columnCount), not \(x.columnCount)")
        let cost = squaredEuclidean(
            matrixMultiply(x, factor, transposingB: true), matrixMultiply(y, factor, transposingB: true))
        return squared ? cost : squareRoot(of: cost)
    }

    private static func squareRoot(of cost: Matrix) -> Matrix {
        var cost = cost
        for index in cost.values.indices { cost.values[index] = cost.values[index].squareRoot() }
        return cost
    }

    private static func normalized(_ x: Matrix) -> Matrix {
        var x = x
        for row in 0..<x.rowCount {
            let range = row * x.columnCount..<(row + 1) * x.columnCount
            let norm = range.reduce(Float(0)) { $0 + x.values[$1] * x.values[$1] }.squareRoot()
            guard norm > 0 else { continue }
            for index in range { x.values[index] /= norm }
        }
        return x
    }
}

/// |x - y|² of two vectors [count].
private func squaredDistance(_ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, count: Int) -> Float {
    let vectorEnd = count & ~7
    var sums = SIMD8<Float>(repeating: 0)
    var index = 0
    while index < vectorEnd {
        let difference =
            UnsafeRawPointer(x + index).loadUnaligned(as: SIMD8<Float>.self)
            - UnsafeRawPointer(y + index).loadUnaligned(as: SIMD8<Float>.self)
        sums += difference * difference
        index += 8
    }
    var sum = sums.sum()
    while index < count {
        let difference = x[index] - y[index]
        sum += difference * difference
        index += 1
    }
    return sum
}
