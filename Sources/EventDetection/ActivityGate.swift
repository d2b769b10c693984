#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Tells steps in which a microphone hears something from digital silence and from a dead microphone.
///
/// Measured per step is the AC level: the root of the mean square about the step's own mean, in dB relative to full
/// scale (a full-scale square wave is 0 dBFS, a full-scale sine -3). A constant value, whatever its size, has none.
package struct ActivityGate: Sendable {
    /// One step of the stream.
    package struct Step: Equatable, Sendable {
        /// First sample, on the sample clock.
        package let start: Int64
        /// AC level in dBFS; -∞ for a constant.
        package let level: Float
        /// Constant, below the least level, or holding NaN or infinite samples.
        package let isSilent: Bool
    }

    /// Samples per step.
    package let stepLength: Int
    /// dBFS below which a step is silent.
    package var minimumLevel: Float
    private var start: Int64
    private var count = 0
    private var sum = 0.0
    private var squares = 0.0
    private var first: Float = 0
    private var isConstant = true

    /// - Parameters:
    ///   - stepLength: samples, > 0.
    ///   - minimumLevel: dBFS; the last bit of 16-bit audio, always toggling, has -90.3.
    ///   - start: first sample of the first step.
    package init(stepLength: Int, minimumLevel: Float = -90, start: Int64 = 0) {
        precondition(stepLength > 0, "stepLength is not positive")
        precondition(!minimumLevel.isNaN, "minimumLevel is not a number")
        self.stepLength = stepLength
        self.minimumLevel = minimumLevel
        self.start = start
    }

    /// Takes any number of samples (full scale ±1) and emits each step as it is complete.
    package mutating func process(_ samples: UnsafeBufferPointer<Float>, emit: (Step) -> Void) {
        var index = 0
        while index < samples.count {
            if count == 0 {
                first = samples[index]
                isConstant = true
                sum = 0
                squares = 0
            }
            let end = min(index + stepLength - count, samples.count)
            count += end - index
            while index < end {
                let sample = samples[index]
                if sample != first { isConstant = false }
                // About the first sample, so that a large constant does not hide a small signal.
                let difference = Double(sample) - Double(first)
                sum += difference
                squares += difference * difference
                index += 1
            }
            if count == stepLength {
                emit(step())
                start += Int64(stepLength)
                count = 0
            }
        }
    }

    /// Begins again at another sample, as after lost audio; an incomplete step is dropped.
    package mutating func restart(at start: Int64) {
        self.start = start
        count = 0
    }

    private func step() -> Step {
        let mean = sum / Double(stepLength)
        let power = squares / Double(stepLength) - mean * mean
        // Not finite: a NaN or an infinity is among the samples.
        let level = isConstant || !(power > 0 && power.isFinite) ? -Float.infinity : Float(10 * log10(power))
        return Step(start: start, level: level, isSilent: level == -.infinity || level < minimumLevel)
    }
}
