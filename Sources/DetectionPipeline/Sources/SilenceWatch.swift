/// Tells a device that gives nothing but digital silence or a constant from a quiet room.
struct SilenceWatch {
    enum Change: Equatable { case fellSilent, isHeardAgain(seconds: Double) }

    /// AC level in dBFS that no converter stays below: the last bit of 24-bit audio, toggling, has -138, but the noise of
    /// any microphone is louder than this.
    static let deadLevel: Float = -120

    /// Seconds.
    var limit: Double
    private(set) var isSilent = false
    private var deadSeconds = 0.0

    init(limit: Double) {
        self.limit = limit
    }

    /// - Parameters:
    ///   - level: AC level of the newest audio in dBFS.
    ///   - seconds: Its length.
    mutating func observe(level: Float, seconds: Double) -> Change? {
        if level < Self.deadLevel {
            deadSeconds += seconds
            guard !isSilent, deadSeconds >= limit else { return nil }
            isSilent = true
            return .fellSilent
        }
        defer {
            deadSeconds = 0
            isSilent = false
        }
        return isSilent ? .isHeardAgain(seconds: deadSeconds) : nil
    }
}
