import Glibc

/// A second-order section; coefficients after Bristow-Johnson's Audio EQ Cookbook.
struct Biquad {
    private var b0: Float, b1: Float, b2: Float, a1: Float, a2: Float
    private var z1: Float = 0
    private var z2: Float = 0

    /// - Parameters:
    ///   - frequency: cut-off in Hz, below half the sample rate.
    ///   - quality: Q, 0.707 for the flattest pass band.
    static func lowPass(frequency: Float, quality: Float = 0.707) -> Biquad {
        let (cosine, alpha) = angle(frequency, quality)
        return Biquad(
            b: ((1 - cosine) / 2, 1 - cosine, (1 - cosine) / 2), a: (1 + alpha, -2 * cosine, 1 - alpha))
    }

    static func highPass(frequency: Float, quality: Float = 0.707) -> Biquad {
        let (cosine, alpha) = angle(frequency, quality)
        return Biquad(
            b: ((1 + cosine) / 2, -(1 + cosine), (1 + cosine) / 2), a: (1 + alpha, -2 * cosine, 1 - alpha))
    }

    /// Gain 1 at `frequency`.
    static func bandPass(frequency: Float, quality: Float) -> Biquad {
        let (cosine, alpha) = angle(frequency, quality)
        return Biquad(b: (alpha, 0, -alpha), a: (1 + alpha, -2 * cosine, 1 - alpha))
    }

    private static func angle(_ frequency: Float, _ quality: Float) -> (cosine: Float, alpha: Float) {
        let omega = 2 * Float.pi * frequency / sampleRate
        return (cosf(omega), sinf(omega) / (2 * quality))
    }

    private init(b: (Float, Float, Float), a: (Float, Float, Float)) {
        b0 = b.0 / a.0
        b1 = b.1 / a.0
        b2 = b.2 / a.0
        a1 = a.1 / a.0
        a2 = a.2 / a.0
    }

    mutating func process(_ input: Float) -> Float {
        let output = b0 * input + z1
        z1 = b1 * input - a1 * output + z2
        z2 = b2 * input - a2 * output
        return output
    }
}

extension [Float] {
    /// These samples after `filter`, which starts at rest.
    func filtered(_ filter: Biquad) -> [Float] {
        var filter = filter
        return map { filter.process($0) }
    }

    /// Adds the sound of a room: sparse early reflections and a tail of decaying, darkening noise.
    ///
    /// - Parameters:
    ///   - decay: seconds until the tail is 60 dB down.
    ///   - amount: level of the tail against the direct sound, 0 to 1.
    func inRoom(decay: Float, amount: Float, seed: UInt64) -> [Float] {
        var generator = SeededGenerator(seed: seed)
        let length = Int(decay * sampleRate)
        // One tap per millisecond or so is dense enough for the ear and cheap to convolve.
        var taps: [(delay: Int, gain: Float)] = []
        var delay = Int(0.004 * sampleRate)
        while delay < length {
            let fade = powf(10, -3 * Float(delay) / Float(length))
            taps.append((delay, fade * generator.noise() * amount * 0.35))
            delay += Int(generator.uniform(8...48))
        }
        let dark = filtered(.lowPass(frequency: 4_500))
        var output = self
        for tap in taps where tap.delay < count {
            for index in tap.delay..<count {
                output[index] += tap.gain * dark[index - tap.delay]
            }
        }
        return output
    }

    /// Linear fades at both ends, so that no section starts or stops with a click of its own.
    func faded(seconds: Float) -> [Float] {
        let length = Swift.min(Int(seconds * sampleRate), count / 2)
        var output = self
        for index in 0..<length {
            let gain = Float(index) / Float(length)
            output[index] *= gain
            output[count - 1 - index] *= gain
        }
        return output
    }

    /// Scaled to the given root mean square (of full scale 1).
    func normalized(rootMeanSquare level: Float) -> [Float] {
        let power = reduce(0) { $0 + $1 * $1 } / Float(Swift.max(1, count))
        return power > 0 ? map { $0 * level / power.squareRoot() } : self
    }

    /// Scaled so that the largest sample has the size `peak` (of full scale 1).
    func normalized(peak: Float) -> [Float] {
        let largest = reduce(0) { Swift.max($0, abs($1)) }
        return largest > 0 ? map { $0 * peak / largest } : self
    }
}
