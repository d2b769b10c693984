/// What the model's front end computes; the `front_end` section of a model's `config.json`.
///
/// y[n] = x[n] - `preEmphasis` · x[n-1] (x[-1] = 0); frame t takes y[t · hop ..< t · hop + windowLength], times a Hann
/// window, padded with zeros to `fftLength`; |X|²; `melCount` triangles; ln(p + `logOffset`);
/// (v + `outputOffset`) · `outputScale`.
package struct LogMelConfiguration: Codable, Sendable, Equatable {
    /// Hz.
    package var sampleRate: Int
    package var preEmphasis: Float
    /// Only `hann`.
    package var window: String
    /// False for the symmetric window (scipy `sym=True`, torch `periodic=False`).
    package var windowPeriodic: Bool
    /// Samples; librosa `win_length`.
    package var windowLength: Int
    /// Samples, ≥ `windowLength`; librosa `n_fft`. The spectrum has `1 + fftLength / 2` bins.
    package var fftLength: Int
    /// Samples, ≤ `windowLength`.
    package var hopLength: Int
    /// Only false: a centred frame would need samples of the future.
    package var center: Bool
    /// Only 2: power spectrum.
    package var power: Float
    /// Only `kaldi`: mel = 1127 ln(1 + f / 700), triangles linear in mel.
    package var melScale: String
    package var melCount: Int
    /// Hz; librosa `fmin`.
    package var minimumFrequency: Float
    /// Hz; librosa `fmax`.
    package var maximumFrequency: Float
    /// Added to the power before the logarithm, > 0.
    package var logOffset: Float
    package var outputOffset: Float
    package var outputScale: Float

    enum CodingKeys: String, CodingKey {
        case sampleRate = "sample_rate"
        case preEmphasis = "pre_emphasis"
        case window
        case windowPeriodic = "window_periodic"
        case windowLength = "window_length"
        case fftLength = "fft_length"
        case hopLength = "hop_length"
        case center
        case power
        case melScale = "mel_scale"
        case melCount = "mel_count"
        case minimumFrequency = "minimum_frequency"
        case maximumFrequency = "maximum_frequency"
        case logOffset = "log_offset"
        case outputOffset = "output_offset"
        case outputScale = "output_scale"
    }

    package init(
        sampleRate: Int, preEmphasis: Float, window: String = "hann", windowPeriodic: Bool = false, windowLength: Int,
        fftLength: Int, hopLength: Int, center: Bool = false, power: Float = 2, melScale: String = "kaldi",
        melCount: Int, minimumFrequency: Float, maximumFrequency: Float, logOffset: Float, outputOffset: Float,
        outputScale: Float
    ) {
        self.sampleRate = sampleRate
        self.preEmphasis = preEmphasis
        self.window = window
        self.windowPeriodic = windowPeriodic
        self.windowLength = windowLength
        self.fftLength = fftLength
        self.hopLength = hopLength
        self.center = center
        self.power = power
        self.melScale = melScale
        self.melCount = melCount
        self.minimumFrequency = minimumFrequency
        self.maximumFrequency = maximumFrequency
        self.logOffset = logOffset
        self.outputOffset = outputOffset
        self.outputScale = outputScale
    }

    /// Bins of the one-sided spectrum.
    package var binCount: Int { fftLength / 2 + 1 }

    /// Frames that `sampleCount` samples give: 0 below one window, then one more per hop.
    package func frameCount(forSampleCount sampleCount: Int) -> Int {
        sampleCount < windowLength ? 0 : 1 + (sampleCount - windowLength) / hopLength
    }

    /// - Throws: ``LogMelConfigurationError`` naming the first field that this front end cannot compute.
    package func validate() throws {
        try require((1...768_000).contains(sampleRate), "sample_rate", "is \(sampleRate), not 1 to 768000 Hz")
        try require(preEmphasis.isFinite && abs(preEmphasis) <= 1, "pre_emphasis", "is \(preEmphasis), not -1 to 1")
        try require(window == "hann", "window", "is '\(window)'; only 'hann' is known")
        try require((2...65536).contains(fftLength), "fft_length", "is \(fftLength), not 2 to 65536 samples")
        try require(fftLength % 2 == 0, "fft_length", "is \(fftLength), an odd number")
        try require(
            (2...fftLength).contains(windowLength), "window_length",
            "is \(windowLength), not 2 to fft_length (\(fftLength)) samples")
        try require(
            (1...windowLength).contains(hopLength), "hop_length",
            "is \(hopLength), not 1 to window_length (\(windowLength)) samples")
        try require(!center, "center", "is true; a streaming front end cannot centre its frames")
        try require(power == 2, "power", "is \(power); only 2.0 is known")
        try require(melScale == "kaldi", "mel_scale", "is '\(melScale)'; only 'kaldi' is known")
        try require((1...1024).contains(melCount), "mel_count", "is \(melCount), not 1 to 1024")
        try require(
            minimumFrequency >= 0 && minimumFrequency.isFinite, "minimum_frequency",
            "is \(minimumFrequency), not a frequency in Hz")
        try require(
            maximumFrequency > minimumFrequency && maximumFrequency <= Float(sampleRate) / 2, "maximum_frequency",
            "is \(maximumFrequency), not above minimum_frequency (\(minimumFrequency)) and up to \(sampleRate / 2) Hz")
        try require(
            logOffset >= Float.leastNormalMagnitude && logOffset.isFinite, "log_offset",
            "is \(logOffset), not above zero")
        try require(outputOffset.isFinite, "output_offset", "is not finite")
        try require(outputScale.isFinite, "output_scale", "is not finite")
    }

    private func require(_ holds: Bool, _ field: String, _ problem: String) throws {
        if !holds { throw LogMelConfigurationError(field: field, problem: problem) }
    }
}

/// A front-end setting that cannot be computed, such as `hop_length is 0, not 1 to window_length (800) samples`.
package struct LogMelConfigurationError: Error, CustomStringConvertible, Equatable {
    /// The key in `config.json`, below `front_end`.
    package let field: String
    /// What it is and what would be right.
    package let problem: String
    package var description: String { "front_end.\(field) \(problem)" }
}
