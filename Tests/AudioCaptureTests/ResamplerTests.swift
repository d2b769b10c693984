import Testing

@testable import AudioCapture

/// Resamples a whole signal in portions of the given sizes.
func resample(_ input: [Float], from: Int, to: Int, chunk: Int, room: Int = 1000) throws -> [Float] {
    var resampler = try Resampler(inputRate: from, outputRate: to)
    return try resample(input, chunk: chunk, room: room, with: &resampler)
}

func resample(_ input: [Float], chunk: Int, room: Int, with resampler: inout Resampler) throws -> [Float] {
    let scratch = UnsafeMutableBufferPointer<Float>.allocate(capacity: room)
    defer { scratch.deallocate() }
    var output: [Float] = []
    var offset = 0
    while offset < input.count {
        let count = min(chunk, input.count - offset)
        let (consumed, produced) = try input.withUnsafeBufferPointer {
            try resampler.process(UnsafeBufferPointer(rebasing: $0[offset..<offset + count]), into: scratch)
        }
        output += scratch.prefix(produced)
        offset += consumed
    }
    let total = convertPosition(input.count, from: resampler.inputRate, to: resampler.outputRate)
    while true {
        let produced = try resampler.finish(total: total, into: scratch)
        if produced == 0 { return output }
        output += scratch.prefix(produced)
    }
}

@Suite struct ResamplerTests {
    static let rates = [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000]

    /// The output must be the same sine at the new rate: right frequency, amplitude and, at no shift, phase.
    @Test(arguments: rates) func keepsASine(rate: Int) throws {
        let input = sine(1000, rate: rate, count: rate + 137)
        let output = try resample(input, from: rate, to: 32_000, chunk: 480)
        #expect(output.count == Int((Double(input.count) * 32_000 / Double(rate)).rounded()))
        let ideal = sine(1000, rate: 32_000, count: output.count)
        let difference = maximumDifference(output[1600..<output.count - 1600], ideal[1600..<output.count - 1600])
        #expect(difference < 2e-5, "\(rate) Hz: \(difference)")
    }

    /// What the new rate cannot hold must vanish rather than come back as another tone.
    @Test(arguments: [44_100, 48_000, 96_000, 192_000]) func removesWhatWouldAlias(rate: Int) throws {
        let output = try resample(sine(19_000, rate: rate, count: rate), from: rate, to: 32_000, chunk: 480)
        #expect(output[1600..<output.count - 1600].allSatisfy { abs($0) < 1e-5 })
    }

    @Test(arguments: [1, 7, 441, 100_000], [1, 320, 50_000])
    func isTheSameInAnyPortions(chunk: Int, room: Int) throws {
        let input = sine(440, rate: 44_100, count: 9_999)
        let whole = try resample(input, from: 44_100, to: 32_000, chunk: 1024)
        let parts = try resample(input, from: 44_100, to: 32_000, chunk: chunk, room: room)
        #expect(parts.count == whole.count)
        #expect(maximumDifference(parts, whole) < 1e-6)
    }

    @Test(arguments: [0, 1, 2, 31, 1000]) func shortSignalsHaveTheirLength(count: Int) throws {
        let output = try resample([Float](repeating: 0.5, count: count), from: 48_000, to: 32_000, chunk: 1024)
        #expect(output.count == (2 * count + 1) / 3 || output.count == (2 * count) / 3)
        #expect(output.count == Int((Double(count) * 2 / 3).rounded()))
    }

    @Test func restartForgets() throws {
        var resampler = try Resampler(inputRate: 48_000, outputRate: 32_000)
        let input = sine(500, rate: 48_000, count: 5_000)
        let first = try resample(input, chunk: 480, room: 320, with: &resampler)
        try resampler.restart()
        #expect(try resample(input, chunk: 480, room: 320, with: &resampler) == first)
    }

    /// What waits inside delays detection; it must stay far below a step.
    @Test(arguments: [44_100, 48_000, 96_000]) func holdsLittle(rate: Int) throws {
        var resampler = try Resampler(inputRate: rate, outputRate: 32_000)
        let scratch = UnsafeMutableBufferPointer<Float>.allocate(capacity: 1000)
        defer { scratch.deallocate() }
        let block = [Float](repeating: 0, count: rate / 100)
        var delay = 0.0
        for _ in 0..<100 {
            _ = try block.withUnsafeBufferPointer { try resampler.process($0, into: scratch) }
            delay = max(delay, resampler.delay / 32_000)
        }
        print("resampling from \(rate) Hz holds at most \(delay * 1000) ms")
        #expect(delay < 0.1)
    }

    @Test func positionsConvertExactly() {
        #expect(convertPosition(0, from: 44_100, to: 32_000) == 0)
        #expect(convertPosition(44_100 * 86_400 * 365, from: 44_100, to: 32_000) == 32_000 * 86_400 * 365)
        #expect(convertPosition(3, from: 48_000, to: 32_000) == 2)
        #expect(convertPosition(2, from: 48_000, to: 32_000) == 1)
        #expect(convertPosition(1, from: 48_000, to: 32_000) == 1)
    }
}
