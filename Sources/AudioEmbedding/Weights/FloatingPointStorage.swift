/// How a tensor's floating-point numbers are stored on disk, and their exact widening to `Float`.
enum FloatingPointStorage: String {
    case float32 = "F32"
    case float16 = "F16"
    case bfloat16 = "BF16"

    var byteCount: Int {
        switch self {
        case .float32: 4
        case .float16, .bfloat16: 2
        }
    }

    /// - Parameters:
    ///   - bytes: little-endian numbers, of any alignment (the format does not promise one).
    ///   - floats: as many elements as `bytes` holds; need not be initialised.
    func widen(_ bytes: UnsafeRawBufferPointer, into floats: UnsafeMutableBufferPointer<Float>) {
        let count = bytes.count / byteCount
        precondition(floats.count >= count)
        guard count > 0, let destination = floats.baseAddress, let source = bytes.baseAddress else { return }
        switch self {
        case .float32:
            for i in 0..<count {
                let bits = UInt32(littleEndian: source.loadUnaligned(fromByteOffset: 4 * i, as: UInt32.self))
                (destination + i).initialize(to: Float(bitPattern: bits))
            }
        case .float16:
            for i in 0..<count {
                let bits = UInt16(littleEndian: source.loadUnaligned(fromByteOffset: 2 * i, as: UInt16.self))
                (destination + i).initialize(to: Self.widenHalf(bits))
            }
        case .bfloat16:
            for i in 0..<count {
                let bits = UInt16(littleEndian: source.loadUnaligned(fromByteOffset: 2 * i, as: UInt16.self))
                (destination + i).initialize(to: Float(bitPattern: UInt32(bits) << 16))
            }
        }
    }

    /// IEEE binary16 to binary32, exact for every input, also where subnormals are flushed: a subnormal half is made
    /// by subtracting two normal numbers, never by multiplying a subnormal float.
    static func widenHalf(_ half: UInt16) -> Float {
        let sign = UInt32(half & 0x8000) << 16
        let exponent = UInt32(half & 0x7C00) >> 10
        let mantissa = UInt32(half & 0x03FF)
        let magnitude: UInt32
        switch exponent {
        case 0:
            // (2^-14 + mantissa · 2^-24) - 2^-14.
            let shifted = Float(bitPattern: (113 << 23) | (mantissa << 13))
            magnitude = (shifted - Float(bitPattern: 113 << 23)).bitPattern
        case 31: magnitude = 0x7F80_0000 | (mantissa << 13)
        default: magnitude = ((exponent + 112) << 23) | (mantissa << 13)
        }
        return Float(bitPattern: sign | magnitude)
    }
}
