internal import COpenBLAS

/// C = A·B or A·Bᵀ (+ C), by OpenBLAS `cblas_sgemm`; all row-major and dense.
///
/// - Parameters:
///   - a: [rows x inner].
///   - b: [inner x columns], or [columns x inner] with `transposingB`.
///   - c: [rows x columns], written (or added to with `accumulating`).
package func matrixMultiply(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, into c: UnsafeMutablePointer<Float>,
    rows: Int, columns: Int, inner: Int, transposingB: Bool = false, accumulating: Bool = false
) {
    guard rows > 0, columns > 0 else { return }
    if rows == 1, inner > 0 {
        // A product with one row only reads B once; sgemm would first copy it.
        cblas_sgemv(
            CblasRowMajor, transposingB ? CblasNoTrans : CblasTrans, blasint(transposingB ? columns : inner),
            blasint(transposingB ? inner : columns), 1, b, blasint(transposingB ? inner : columns), a, 1,
            accumulating ? 1 : 0, c, 1)
        return
    }
    cblas_sgemm(
        CblasRowMajor, CblasNoTrans, transposingB ? CblasTrans : CblasNoTrans,
        blasint(rows), blasint(columns), blasint(inner),
        1, a, blasint(max(inner, 1)), b, blasint(max(transposingB ? inner : columns, 1)),
        accumulating ? 1 : 0, c, blasint(columns))
}

/// The product A·B, or A·Bᵀ with `transposingB`.
///
/// - Parameters:
///   - a: [m x k].
///   - b: [k x n], or [n x k] with `transposingB`.
/// - Returns: [m x n].
package func matrixMultiply(_ a: Matrix, _ b: Matrix, transposingB: Bool = false) -> Matrix {
    let inner = transposingB ? b.columnCount : b.rowCount
    let columns = transposingB ? b.rowCount : b.columnCount
    precondition(a.columnCount == inner, "inner sizes differ: \(a.columnCount) and \(inner)")
    var c = Matrix(rowCount: a.rowCount, columnCount: columns)
    a.values.withUnsafeBufferPointer { aValues in
        b.values.withUnsafeBufferPointer { bValues in
            c.values.withUnsafeMutableBufferPointer { cValues in
                guard let a0 = aValues.baseAddress, let b0 = bValues.baseAddress, let c0 = cValues.baseAddress else {
                    return
                }
                matrixMultiply(
                    a0, b0, into: c0, rows: a.rowCount, columns: columns, inner: inner, transposingB: transposingB)
            }
        }
    }
    return c
}

/// Keeps OpenBLAS on the calling thread: its own threads would compete with the daemon's.
package func useSingleBLASThread() {
    openblas_set_num_threads(1)
}

/// The processor kernel that OpenBLAS chose, such as `Haswell` (for the log).
package func blasCoreName() -> String {
    String(cString: openblas_get_corename())
}
