/// A seeded generator, so that every run writes the same recording (SplitMix64, <https://doi.org/10.1145/2660193.2660195>).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

    /// A value in `0 ..< 1`.
    mutating func uniform() -> Float {
        Float(next() >> 40) * 0x1p-24
    }

    /// A value in `range`, evenly spread.
    mutating func uniform(_ range: ClosedRange<Float>) -> Float {
        range.lowerBound + (range.upperBound - range.lowerBound) * uniform()
    }

    /// White noise with mean 0 and variance 1, near enough to Gaussian: the sum of four even values.
    mutating func noise() -> Float {
        (uniform() + uniform() + uniform() + uniform() - 2) * 1.732_050_8
    }
}
