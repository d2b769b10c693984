/// What a device is opened with. What is left `nil` is chosen: the rate nearest to the model's from above, the widest
/// format, and for a mix the device's channels (stereo where it leaves the choice).
package struct DevicePreferences: Sendable, Equatable {
    /// In Hz.
    package var sampleRate: Int?
    package var format: SampleFormat?
    package var channelCount: Int?

    package init(sampleRate: Int? = nil, format: SampleFormat? = nil, channelCount: Int? = nil) {
        self.sampleRate = sampleRate
        self.format = format
        self.channelCount = channelCount
    }

    func completed(modelSampleRate: Int, channel: ChannelSelection) -> DeviceRequest {
        var minimumChannelCount = 1
        if case .index(let number) = channel { minimumChannelCount = max(1, number) }
        return DeviceRequest(
            fixed: self, modelSampleRate: modelSampleRate, minimumChannelCount: minimumChannelCount)
    }
}

/// Preferences together with what the consumer needs, and the choices that follow.
struct DeviceRequest: Sendable {
    var fixed = DevicePreferences()
    var modelSampleRate = 32_000
    /// The channel asked for must exist.
    var minimumChannelCount = 1

    /// What kind of PCM is asked, as far as choices depend on it.
    enum DeviceKind {
        case hardware
        /// A sound server or a plug: it converts by itself to whatever is asked.
        case converting
        /// The `file` and `null` plugins take anything and have no nature of their own.
        case formless
    }

    static let channelCounts = 1...32
    static let sampleRates = 8_000...192_000

    func formats(for kind: DeviceKind) -> [SampleFormat] {
        if let format = fixed.format { return [format] }
        // The widest first: quiet microphones on 24-bit converters lose what 16 bits cannot hold.
        return kind == .formless
            ? [.s16, .s32, .s24, .s24Packed, .float] : [.s32, .s24, .s24Packed, .float, .s16]
    }

    /// Rates to try in this order: from the model's upwards, then downwards.
    func sampleRates(for kind: DeviceKind) -> [Int] {
        if let rate = fixed.sampleRate { return [rate] }
        let common = [
            8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000, 176_400,
            192_000,
        ]
        var rates = common.filter { $0 > modelSampleRate } + common.filter { $0 < modelSampleRate }.reversed()
        // 48 kHz before 44.1: most converters run on a multiple of it, the other is often made by resampling.
        if let cd = rates.firstIndex(of: 44_100), let dat = rates.firstIndex(of: 48_000) {
            rates.swapAt(cd, dat)
        }
        if kind == .converting {
            // Whatever resamples there is not ours to choose; from 48 kHz nothing that the model hears is lost.
            rates = [48_000, 44_100] + rates.filter { $0 != 48_000 && $0 != 44_100 }
        }
        rates.insert(modelSampleRate, at: kind == .converting ? 2 : 0)
        return rates
    }

    /// - Parameter supported: What the device can do.
    func channelCounts(for kind: DeviceKind, supported: ClosedRange<Int>) -> [Int] {
        if let count = fixed.channelCount { return [count] }
        let usual = kind == .formless ? 1 : 2
        let least = max(minimumChannelCount, supported.lowerBound)
        let first = minimumChannelCount > 1 ? least : min(max(usual, least), supported.upperBound)
        return [first] + supported.clamped(to: Self.channelCounts).filter { $0 >= least && $0 != first }
    }
}
