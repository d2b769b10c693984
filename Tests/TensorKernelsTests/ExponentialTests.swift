import Foundation
import Testing

@testable import TensorKernels

@Suite struct ExponentialTests {
    /// Largest relative error against the C library's double precision over a dense grid.
    @Test(arguments: [(-87.3, 88.7), (-20.0, 20.0), (-1.0, 1.0), (-1e-3, 1e-3)])
    func relativeErrorIsSmall(range: (Double, Double)) {
        let count = 200_003
        let input = (0..<count).map { Float(range.0 + (range.1 - range.0) * Double($0) / Double(count - 1)) }
        var output = [Float](repeating: .nan, count: count)
        exponential(input, into: &output, count: count)
        var worst = 0.0
        var worstAt: Float = 0
        for (x, y) in zip(input, output) {
            let expected = Foundation.exp(Double(x))
            let error = abs(Double(y) - expected) / expected
            if !(error <= worst) { (worst, worstAt) = (error, x) }
        }
        #expect(worst < 1.3e-7, "relative error \(worst) at \(worstAt)")
    }

    @Test func extremes() {
        let input: [Float] = [
            -.infinity, -1e30, -1000, -104, -87.5, 0, -0.0, 88.72, 88.8, 1e30, .infinity, .nan, .leastNonzeroMagnitude,
        ]
        var output = [Float](repeating: -1, count: input.count)
        exponential(input, into: &output, count: input.count)
        #expect(output[0...4].allSatisfy { $0 == 0 })
        #expect(output[5] == 1 && output[6] == 1 && output[12] == 1)
        #expect(output[7].isFinite && abs(output[7] / Float(Foundation.exp(Double(Float(88.72)))) - 1) < 2e-7)
        #expect(output[8...10].allSatisfy { $0 == .infinity })
        #expect(output[11].isNaN)
        #expect(exponential(Float(-2)) == exponential(SIMD8<Float>(repeating: -2))[5])
    }

    /// Every length, so that the vector part and the tail meet; nothing past the end is touched; in place works.
    @Test func lengthsScaleAndOffset() {
        for count in 0...33 {
            var values = (0..<count).map { Float($0) * 0.37 - 5 } + [77]
            let expected = values.map { Float(Foundation.exp(Double($0 * -0.5 + 0.25))) }
            values.withUnsafeMutableBufferPointer {
                exponential($0.baseAddress!, into: $0.baseAddress!, count: count, scale: -0.5, offset: 0.25)
            }
            #expect(values[count] == 77)
            for index in 0..<count { #expect(abs(values[index] / expected[index] - 1) < 3e-7) }
        }
    }

    @Test func logSumExpAgreesWithDoublePrecision() {
        for count in 1...40 {
            let values = (0..<count).map { Float(($0 &* 7919 &+ count &* 104_729) % 18_001) * 0.01 - 90 }
            let largest = Double(values.max()!)
            let expected = largest + Foundation.log(values.reduce(0.0) { $0 + Foundation.exp(Double($1) - largest) })
            #expect(abs(Double(logSumExp(values, count: count)) - expected) < 1e-5 + 1e-7 * abs(expected))
        }
    }

    @Test func logSumExpExtremes() {
        let infinity = Float.infinity
        #expect(logSumExp([], count: 0) == -infinity)
        #expect(logSumExp([-infinity, -infinity], count: 2) == -infinity)
        #expect(logSumExp([-infinity, 3, -infinity], count: 3) == 3)
        #expect(logSumExp([1, infinity, 2], count: 3) == infinity)
        #expect(abs(logSumExp([1e30, 1e30], count: 2) - 1e30) < 1e24)
        #expect(abs(logSumExp([-1e4, -1e4], count: 2) - (-1e4 + 0.693_147)) < 1e-3)
        for position in 0..<19 {
            var values = [Float](repeating: 0.5, count: 19)
            values[position] = .nan
            #expect(logSumExp(values, count: 19).isNaN)
            #expect(maximum(values, count: 19).isNaN)
        }
    }

    @Test func softmaxSumsToOneAndIgnoresAShift() {
        for count in 1...35 {
            var values = (0..<count).map { Float(($0 * 7919) % 31) * 0.3 - 1000 }
            var shifted = values.map { $0 + 1000 }
            softmax(&values, count: count, scale: 2)
            softmax(&shifted, count: count, scale: 2)
            #expect(abs(values.reduce(0, +) - 1) < 1e-6)
            for (left, right) in zip(values, shifted) { #expect(abs(left - right) < 1e-3 * right + 1e-7) }
        }
    }
}
