import TensorKernels
import TestSupport
import Testing

@Suite struct ElementwiseTests {
    @Test func activationsAreTorchs() {
        // torch.nn.functional.hardswish and relu of these numbers.
        let inputs: [Float] = [-4, -3, -1.5, -0.5, 0, 0.5, 1, 3, 5]
        let hardswish: [Float] = [0, 0, -0.375, -0.20833333, 0, 0.29166666, 0.6666667, 3, 5]
        let comparison = compare(inputs.map { Activation.hardswish($0) }, hardswish, absolute: 1e-6)
        #expect(comparison.holds, "\(comparison)")
        #expect(inputs.map { Activation.relu($0) } == [0, 0, 0, 0, 0, 0.5, 1, 3, 5])
        #expect(inputs.map { Activation.none($0) } == inputs)
    }

    @Test(arguments: Activation.allCases, [1, 7, 8, 9, 24, 527])
    func addBiasOfAnyWidth(activation: Activation, columns: Int) {
        var generator = SeededGenerator(seed: 1)
        let rows = 3
        let x = AlignedBuffer(generator.floats(rows * columns, in: -6...6))
        let bias = AlignedBuffer(generator.floats(columns))
        let expected = (0..<rows * columns).map { activation(x.pointer[$0] + bias.pointer[$0 % columns]) }
        addBias(
            bias.pointer, to: x.pointer, into: x.pointer, rows: rows, columns: columns, activation: activation)
        let comparison = compare(x.values, expected, absolute: 1e-6, relative: 1e-6)
        #expect(comparison.holds, "\(comparison)")
    }

    @Test(arguments: [1, 2, 5], [1, 7, 8, 19])
    func rowMeansScalesAndSums(rows: Int, columns: Int) {
        var generator = SeededGenerator(seed: 2)
        let x = AlignedBuffer(generator.floats(rows * columns))
        let values = x.values
        let mean = AlignedBuffer(count: columns)
        meanOfRows(x.pointer, into: mean.pointer, rows: rows, columns: columns)
        let expected = (0..<columns).map { c in (0..<rows).reduce(0) { $0 + values[$1 * columns + c] } / Float(rows) }
        let comparison = compare(mean.values, expected, absolute: 1e-6)
        #expect(comparison.holds, "\(comparison)")
        scaleRows(x.pointer, by: mean.pointer, rows: rows, columns: columns)
        #expect(x.values == values.indices.map { values[$0] * mean.pointer[$0 % columns] })
        let scaled = x.values
        add(mean.pointer, to: x.pointer, count: columns)
        #expect(x.values.prefix(columns) == ArraySlice(zip(scaled, mean.values).map { $0 + $1 }))
    }

    /// The product with one row takes another way than the others.
    @Test(arguments: [1, 2, 9], [false, true])
    func matrixProducts(rows: Int, transposing: Bool) {
        var generator = SeededGenerator(seed: 3)
        for (inner, columns) in [(1, 1), (3, 7), (24, 5), (0, 3)] {
            let a = Matrix(rowCount: rows, columnCount: inner, values: generator.floats(rows * inner))
            let shape = transposing ? (columns, inner) : (inner, columns)
            let b = Matrix(rowCount: shape.0, columnCount: shape.1, values: generator.floats(inner * columns))
            var expected = Matrix(rowCount: rows, columnCount: columns)
            for r in 0..<rows {
                for c in 0..<columns {
                    for k in 0..<inner { expected[r, c] += a[r, k] * (transposing ? b[c, k] : b[k, c]) }
                }
            }
            let comparison = compare(matrixMultiply(a, b, transposingB: transposing), expected, absolute: 1e-5)
            #expect(comparison.holds, "\(comparison)")
        }
    }

    @Test(arguments: [1, 2]) func accumulatingAdds(rows: Int) {
        let a = AlignedBuffer([Float](repeating: 2, count: rows * 3))
        let b = AlignedBuffer([Float](repeating: 1, count: 6))
        let c = AlignedBuffer([Float](repeating: 10, count: rows * 2))
        matrixMultiply(a.pointer, b.pointer, into: c.pointer, rows: rows, columns: 2, inner: 3, accumulating: true)
        #expect(c.values == [Float](repeating: 16, count: rows * 2))
    }
}
