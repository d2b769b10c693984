import Foundation
import TensorKernels
import TestSupport
import Testing

/// The kernels against double-precision formulas, on sizes that are no multiple of eight.
@Suite struct TransformerKernelsTests {
    @Test(arguments: [1, 7, 8, 9, 384, 1001])
    func geluEqualsItsFormula(columns: Int) {
        var generator = SeededGenerator(seed: UInt64(columns))
        let rows = 3
        var values = generator.floats(rows * columns, in: -6...6)
        values[0] = 0
        let bias = generator.floats(columns)
        let expected = values.indices.map { index in
            let x = Double(values[index] + bias[index % columns])
            return Float(0.5 * x * erfc(-x / 2.0.squareRoot()))
        }
        addBiasThenGELU(&values, bias: bias, rows: rows, columns: columns)
        let comparison = compare(values, expected, absolute: 5e-7, relative: 5e-7, name: "GELU")
        #expect(comparison.holds, "\(comparison)")
    }

    @Test func geluOfExtremes() {
        var values: [Float] = [-1e30, -100, -20, 0, 20, 100, 1e30, .nan]
        addBiasThenGELU(&values, bias: [Float](repeating: 0, count: 8), rows: 1, columns: 8)
        #expect(Array(values[0..<7]) == [0, 0, 0, 0, 20, 100, 1e30])
        #expect(values[7].isNaN)
    }

    @Test(arguments: [1, 5, 8, 13, 384])
    func layerNormEqualsItsFormula(columns: Int) {
        var generator = SeededGenerator(seed: UInt64(columns))
        let rows = 4
        var values = generator.floats(rows * columns, in: -3...5)
        let residual = generator.floats(rows * columns)
        let bias = generator.floats(columns)
        let weight = generator.floats(columns, in: 0.5...2)
        let offset = generator.floats(columns)
        var expected: [Float] = []
        for row in 0..<rows {
            let x = (0..<columns).map { column in
                Double(values[row * columns + column] + bias[column] + residual[row * columns + column])
            }
            let mean = x.reduce(0, +) / Double(columns)
            let variance = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(columns)
            expected += (0..<columns).map { column in
                Float((x[column] - mean) / (variance + 1e-6).squareRoot()) * weight[column] + offset[column]
            }
        }
        addThenLayerNormalize(
            &values, bias: bias, residual: residual, weight: weight, offset: offset, rows: rows, columns: columns,
            epsilon: 1e-6)
        // A single column is rounding noise over √ε: its own input decides nothing.
        let comparison = compare(values, expected, absolute: columns == 1 ? 1e-3 : 2e-5, name: "LayerNorm")
        #expect(comparison.holds, "\(comparison)")
    }

    @Test func rowsOfUnitLength() {
        var generator = SeededGenerator(seed: 3)
        var values = generator.floats(3 * 11)
        for column in 0..<11 { values[11 + column] = 0 }
        normalizeRows(&values, rows: 3, columns: 11, scale: 2)
        for row in [0, 2] {
            let square = values[row * 11..<row * 11 + 11].reduce(0) { $0 + $1 * $1 }
            #expect(abs(square - 4) < 1e-5)
        }
        #expect(values[11..<22].allSatisfy { $0 == 0 })
    }

    @Test(arguments: [1, 8, 19])
    func sums(columns: Int) {
        var generator = SeededGenerator(seed: 5)
        let values = generator.floats(2 * columns)
        let bias = generator.floats(columns)
        var actual = values
        addBias(bias, to: &actual, rows: 2, columns: columns)
        #expect(actual == values.indices.map { values[$0] + bias[$0 % columns] })
    }
}
