import TensorKernels
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite struct LogarithmTests {
    private func kernel(_ values: [Float]) -> [Float] {
        [Float](unsafeUninitializedCapacity: values.count) { buffer, count in
            values.withUnsafeBufferPointer { input in
                if let source = input.baseAddress, let destination = buffer.baseAddress {
                    naturalLogarithm(source, into: destination, count: values.count)
                }
            }
            count = values.count
        }
    }

    /// Every 997th normal positive number, against libm in double precision.
    @Test func equalsLibmOverTheWholeRange() {
        let first = Float.leastNormalMagnitude.bitPattern
        let last = Float.greatestFiniteMagnitude.bitPattern
        let values = stride(from: first, through: last, by: 997).map(Float.init(bitPattern:))
        let expected = values.map { Float(log(Double($0))) }
        let comparison = compare(kernel(values), expected, absolute: 1e-7, relative: 1e-7 * 2)
        #expect(comparison.holds, "\(comparison)")
    }

    @Test func equalsLibmAroundOne() {
        let values = (-20_000...20_000).map { 1 + Float($0) * 1e-5 }
        let expected = values.map { Float(log(Double($0))) }
        let comparison = compare(kernel(values), expected, absolute: 1e-8, relative: 2e-7)
        #expect(comparison.holds, "\(comparison)")
    }

    @Test(arguments: 0...17) func anyCount(count: Int) {
        let values = (0..<count).map { Float($0 + 1) }
        let comparison = compare(kernel(values), values.map { log($0) }, absolute: 1e-6)
        #expect(comparison.holds, "\(comparison)")
    }

    @Test func isFiniteWhateverComes() {
        let values: [Float] = [0, -0.0, -1, .leastNonzeroMagnitude, .infinity, -.infinity, .nan, .leastNormalMagnitude]
        #expect(kernel(values).allSatisfy { $0.isFinite })
    }

    @Test func worksInPlace() {
        var values: [Float] = (1...11).map(Float.init)
        let expected = kernel(values)
        values.withUnsafeMutableBufferPointer { buffer in
            if let base = buffer.baseAddress { naturalLogarithm(base, into: base, count: buffer.count) }
        }
        #expect(values == expected)
    }
}
