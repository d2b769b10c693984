/// The sample formats that capture understands, by their ALSA names. All are little-endian and interleaved.
package enum SampleFormat: String, CaseIterable, Sendable {
    case s16 = "S16_LE"
    /// Three bytes per sample.
    case s24Packed = "S24_3LE"
    /// Four bytes per sample, the low three of which count.
    case s24 = "S24_LE"
    case s32 = "S32_LE"
    case float = "FLOAT_LE"

    package var bytesPerSample: Int {
        switch self {
        case .s16: 2
        case .s24Packed: 3
        case .s24, .s32, .float: 4
        }
    }
}

/// Turns interleaved device samples into mono floats, full scale being ±1.
struct SampleConverter {
    let format: SampleFormat
    let channelCount: Int
    let channel: ChannelSelection

    /// A float sample beyond this (24 dB over full scale) is not sound; it is limited to it, so that one wild number
    /// cannot poison the state of what listens.
    static let floatLimit: Float = 16

    var bytesPerFrame: Int { format.bytesPerSample * channelCount }

    /// - Parameters:
    ///   - input: `frameCount * bytesPerFrame` bytes, no alignment needed.
    ///   - output: `frameCount` samples; integers map to [-1, 1), floats are kept.
    /// - Returns: How many float samples were not usable: NaN and infinity become 0, others are limited.
    func convert(_ input: UnsafeRawPointer, frameCount: Int, into output: UnsafeMutablePointer<Float>) -> Int {
        switch format {
        case .s16: convert(S16.self, input, frameCount, output)
        case .s24Packed: convert(S24Packed.self, input, frameCount, output)
        case .s24: convert(S24.self, input, frameCount, output)
        case .s32: convert(S32.self, input, frameCount, output)
        case .float: convert(Float32Samples.self, input, frameCount, output)
        }
    }

    @inline(__always)
    private func convert<Decoder: SampleDecoder>(
        _: Decoder.Type, _ input: UnsafeRawPointer, _ frameCount: Int, _ output: UnsafeMutablePointer<Float>
    ) -> Int {
        let stride = Decoder.byteCount * channelCount
        var repaired = 0
        switch channel {
        case .index(let number):
            var source = input + (number - 1) * Decoder.byteCount
            for frame in 0..<frameCount {
                output[frame] = Decoder.load(source, &repaired)
                source += stride
            }
        case .mix where channelCount == 1:
            for frame in 0..<frameCount {
                output[frame] = Decoder.load(input + frame * stride, &repaired)
            }
        case .mix:
            let scale = 1 / Float(channelCount)
            var source = input
            for frame in 0..<frameCount {
                var sum: Float = 0
                for _ in 0..<channelCount {
                    sum += Decoder.load(source, &repaired)
                    source += Decoder.byteCount
                }
                output[frame] = sum * scale
            }
        }
        return repaired
    }
}

/// Reads one sample; a type per format, so that each conversion loop is specialised.
private protocol SampleDecoder {
    static var byteCount: Int { get }
    static func load(_ address: UnsafeRawPointer, _ repaired: inout Int) -> Float
}

private enum S16: SampleDecoder {
    static var byteCount: Int { 2 }
    @inline(__always) static func load(_ address: UnsafeRawPointer, _: inout Int) -> Float {
        Float(Int16(littleEndian: address.loadUnaligned(as: Int16.self))) * 0x1p-15
    }
}

private enum S24Packed: SampleDecoder {
    static var byteCount: Int { 3 }
    @inline(__always) static func load(_ address: UnsafeRawPointer, _: inout Int) -> Float {
        let low = UInt32(address.loadUnaligned(as: UInt8.self))
        let middle = UInt32(address.loadUnaligned(fromByteOffset: 1, as: UInt8.self))
        let high = UInt32(address.loadUnaligned(fromByteOffset: 2, as: UInt8.self))
        // The sign bit goes to the top: an arithmetic value scaled by 2^8, exact in a float.
        return Float(Int32(bitPattern: high << 24 | middle << 16 | low << 8)) * 0x1p-31
    }
}

private enum S24: SampleDecoder {
    static var byteCount: Int { 4 }
    @inline(__always) static func load(_ address: UnsafeRawPointer, _: inout Int) -> Float {
        // The top byte is padding and may hold anything.
        Float(Int32(littleEndian: address.loadUnaligned(as: Int32.self)) << 8) * 0x1p-31
    }
}

private enum S32: SampleDecoder {
    static var byteCount: Int { 4 }
    @inline(__always) static func load(_ address: UnsafeRawPointer, _: inout Int) -> Float {
        Float(Int32(littleEndian: address.loadUnaligned(as: Int32.self))) * 0x1p-31
    }
}

private enum Float32Samples: SampleDecoder {
    static var byteCount: Int { 4 }
    @inline(__always) static func load(_ address: UnsafeRawPointer, _ repaired: inout Int) -> Float {
        let value = Float(bitPattern: UInt32(littleEndian: address.loadUnaligned(as: UInt32.self)))
        if abs(value) <= SampleConverter.floatLimit { return value }
        repaired += 1
        guard value.isFinite else { return 0 }
        return value < 0 ? -SampleConverter.floatLimit : SampleConverter.floatLimit
    }
}
