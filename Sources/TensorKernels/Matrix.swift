/// A dense matrix of `Float`, row-major, in one allocation.
///
/// The value type that crosses module borders; inner loops take its storage once with `withUnsafeBufferPointer`.
package struct Matrix: Equatable, Sendable {
    package let rowCount: Int
    package let columnCount: Int
    /// Elements in row-major order: element (r, c) is `values[r * columnCount + c]`.
    package var values: [Float]

    /// - Parameters:
    ///   - rowCount: ≥ 0.
    ///   - columnCount: ≥ 0.
    ///   - values: [rowCount x columnCount], row-major.
    package init(rowCount: Int, columnCount: Int, values: [Float]) {
        precondition(
            values.count == rowCount * columnCount,
            "\(values.count) values do not fill a \(rowCount) x \(columnCount) matrix")
        self.rowCount = rowCount
        self.columnCount = columnCount
        self.values = values
    }

    package init(rowCount: Int, columnCount: Int, repeating value: Float = 0) {
        self.init(
            rowCount: rowCount, columnCount: columnCount,
            values: [Float](repeating: value, count: rowCount * columnCount))
    }

    /// Stacks rows of equal length. An empty list gives a 0 x 0 matrix.
    package init(rows: [[Float]]) {
        let columnCount = rows.first?.count ?? 0
        precondition(rows.allSatisfy { $0.count == columnCount }, "rows differ in length")
        self.init(rowCount: rows.count, columnCount: columnCount, values: rows.flatMap { $0 })
    }

    package subscript(row: Int, column: Int) -> Float {
        get { values[row * columnCount + column] }
        set { values[row * columnCount + column] = newValue }
    }

    /// A copy of one row.
    package func row(_ index: Int) -> [Float] {
        Array(values[index * columnCount..<(index + 1) * columnCount])
    }
}
