import TensorKernels
import TestSupport
import Testing

@testable import AudioEmbedding

@Suite struct RunningMeanTests {
    @Test(arguments: [1, 2, 5, 30]) func equalsTheMeanOfTheLastVectors(window: Int) {
        var generator = SeededGenerator(seed: 1)
        let size = 3
        let vectors = (0..<100).map { _ in generator.floats(size) }
        var mean = RunningMean(window: window, size: size)
        let buffer = AlignedBuffer(count: size)
        for round in 0..<2 {
            for (index, vector) in vectors.enumerated() {
                vector.withUnsafeBufferPointer { input in
                    if let base = input.baseAddress { mean.push(base, into: buffer.pointer) }
                }
                let last = vectors[max(0, index - window + 1)...index]
                let expected = (0..<size).map { c in last.reduce(0) { $0 + $1[c] } / Float(last.count) }
                let comparison = compare(buffer.values, expected, absolute: 1e-6, name: "\(round), \(index)")
                #expect(comparison.holds, "\(comparison)")
            }
            mean.reset()
        }
    }

    /// A loud vector must leave no trace once it is out of the window; a sum that adds and subtracts keeps one.
    @Test func doesNotDrift() {
        var mean = RunningMean(window: 4, size: 1)
        let value = AlignedBuffer(count: 1)
        let result = AlignedBuffer(count: 1)
        for index in 0..<20 {
            value.pointer[0] = index == 3 ? 1e9 : 0.1
            mean.push(value.pointer, into: result.pointer)
        }
        #expect(abs(result.pointer[0] - 0.1) < 1e-7)
    }
}
