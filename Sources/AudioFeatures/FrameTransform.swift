import TensorKernels

/// One log-mel frame from one window of pre-emphasised samples: the part that batch and streaming forms share.
///
/// Owns its transform and scratch; `frame` does not allocate.
final class FrameTransform {
    let configuration: LogMelConfiguration
    private let bank: MelBank
    private let window: AlignedBuffer
    private let transform: RealFourierTransform
    private let spectrum: AlignedBuffer
    private let mel: AlignedBuffer

    /// - Throws: ``LogMelConfigurationError``.
    init(_ configuration: LogMelConfiguration) throws {
        try configuration.validate()
        self.configuration = configuration
        bank = MelBank(configuration)
        window = AlignedBuffer(
            hannWindow(length: configuration.windowLength, periodic: configuration.windowPeriodic))
        transform = RealFourierTransform(length: configuration.fftLength)
        spectrum = AlignedBuffer(count: configuration.binCount)
        mel = AlignedBuffer(count: configuration.melCount + 2)
    }

    /// - Parameters:
    ///   - samples: [windowLength], pre-emphasised.
    ///   - frame: [melCount], written.
    func frame(_ samples: UnsafePointer<Float>, into frame: UnsafeMutablePointer<Float>) {
        power(samples, into: spectrum.pointer)
        bank.apply(spectrum.pointer, into: mel.pointer)
        let bands = mel.pointer + 1
        add(configuration.logOffset, to: bands, count: configuration.melCount)
        naturalLogarithm(bands, into: frame, count: configuration.melCount)
        shiftAndScale(
            frame, count: configuration.melCount, offset: configuration.outputOffset, scale: configuration.outputScale)
    }

    /// |X|² of the windowed samples, padded with zeros to `fftLength`.
    ///
    /// - Parameters:
    ///   - samples: [windowLength].
    ///   - power: [binCount], written.
    func power(_ samples: UnsafePointer<Float>, into power: UnsafeMutablePointer<Float>) {
        multiply(samples, window.pointer, into: transform.input, count: configuration.windowLength)
        transform.execute()
        squaredMagnitudes(transform.output, into: power, count: configuration.binCount)
    }
}

private func multiply(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, into product: UnsafeMutablePointer<Float>, count: Int
) {
    for i in 0..<count { product[i] = a[i] * b[i] }
}

/// - Parameter pairs: [count] pairs (real, imaginary).
private func squaredMagnitudes(
    _ pairs: UnsafePointer<Float>, into squares: UnsafeMutablePointer<Float>, count: Int
) {
    for i in 0..<count {
        let real = pairs[2 * i]
        let imaginary = pairs[2 * i + 1]
        squares[i] = real * real + imaginary * imaginary
    }
}

private func add(_ offset: Float, to values: UnsafeMutablePointer<Float>, count: Int) {
    for i in 0..<count { values[i] += offset }
}

private func shiftAndScale(_ values: UnsafeMutablePointer<Float>, count: Int, offset: Float, scale: Float) {
    for i in 0..<count { values[i] = (values[i] + offset) * scale }
}
