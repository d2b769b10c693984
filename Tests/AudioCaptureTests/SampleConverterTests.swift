import Testing

@testable import AudioCapture

/// Encodes floats as a device would deliver them.
func encode(_ samples: [Float], as format: SampleFormat) -> [UInt8] {
    func bytes(_ value: Int32, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * Int32($0))) }
    }
    return samples.flatMap { sample -> [UInt8] in
        switch format {
        case .s16: bytes(Int32((sample * 0x1p15).rounded()), 2)
        case .s24Packed: bytes(Int32((sample * 0x1p23).rounded()), 3)
        // The padding byte is garbage on purpose.
        case .s24: bytes(Int32((sample * 0x1p23).rounded()), 3) + [0xA5]
        case .s32: bytes(Int32((Double(sample) * 0x1p31).rounded()), 4)
        case .float: bytes(Int32(bitPattern: sample.bitPattern), 4)
        }
    }
}

func convert(
    _ bytes: [UInt8], _ format: SampleFormat, channelCount: Int = 1, _ channel: ChannelSelection = .mix, offset: Int = 0
) -> (samples: [Float], repaired: Int) {
    let converter = SampleConverter(format: format, channelCount: channelCount, channel: channel)
    let frameCount = bytes.count / converter.bytesPerFrame
    var output = [Float](repeating: .nan, count: frameCount)
    let shifted = [UInt8](repeating: 0xFF, count: offset) + bytes
    let repaired = shifted.withUnsafeBytes {
        converter.convert($0.baseAddress! + offset, frameCount: frameCount, into: &output)
    }
    return (output, repaired)
}

@Suite struct SampleConverterTests {
    /// Multiples of 2^-15 are exact in every format.
    static let exact: [Float] = [0, 0.5, -0.5, -1, 32767 / 32768, 1 / 32768, -1 / 32768, 0.25]

    @Test(arguments: SampleFormat.allCases, [0, 1, 3])
    func isExact(format: SampleFormat, offset: Int) {
        let result = convert(encode(Self.exact, as: format), format, offset: offset)
        #expect(result.samples == Self.exact)
        #expect(result.repaired == 0)
    }

    @Test(arguments: SampleFormat.allCases, [2, 3, 8, 32])
    func picksAndMixesChannels(format: SampleFormat, channelCount: Int) {
        // Channel c of frame f holds (f - c) / 64: exact everywhere.
        let channels = (0..<channelCount).map { c in (0..<20).map { Float($0 - c) / 64 } }
        let bytes = encode(interleave(channels), as: format)
        for number in 1...channelCount {
            let picked = convert(bytes, format, channelCount: channelCount, .index(number))
            #expect(picked.samples == channels[number - 1])
        }
        let mixed = convert(bytes, format, channelCount: channelCount, .mix).samples
        let mean = (0..<20).map { Float($0) / 64 - Float(channelCount - 1) / 128 }
        #expect(maximumDifference(mixed, mean) < 1e-6)
    }

    @Test func integersStayWithinFullScale() {
        #expect(convert([0x00, 0x80, 0xFF, 0x7F], .s16).samples == [-1, 32767 / 32768])
        #expect(convert([0, 0, 0x80, 0xFF, 0xFF, 0x7F], .s24Packed).samples == [-1, 1 - 0x1p-23])
        #expect(convert([0, 0, 0, 0x80], .s32).samples == [-1])
    }

    @Test func mendsUnusableFloats() {
        let values: [Float] = [.nan, .infinity, -.infinity, 1e30, -1e30, 1.5, -.signalingNaN, 0.25]
        let result = convert(encode(values, as: .float), .float)
        #expect(result.samples == [0, 0, 0, 16, -16, 1.5, 0, 0.25])
        #expect(result.repaired == 6)
    }
}
