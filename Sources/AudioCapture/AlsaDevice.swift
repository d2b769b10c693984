import CALSA
import Glibc

/// An ALSA capture device, opened at a rate and format of its own: no plug layer resamples.
final class AlsaDevice {
    let name: String
    private(set) var format = SampleFormat.s16
    private(set) var sampleRate = 0
    private(set) var channelCount = 0
    /// Frames.
    private(set) var periodLength = 0
    /// Frames.
    private(set) var bufferLength = 0
    /// One line for the log.
    private(set) var opening = ""

    let pcm: OpaquePointer

    /// - Parameters:
    ///   - name: An ALSA PCM name.
    /// - Throws: ``AudioCaptureError`` of kind `device`.
    convenience init(open name: String, preferences: DeviceRequest) throws {
        try self.init(pcm: openAlsaPCM(name), name: name, preferences: preferences)
    }

    /// Takes over a PCM that is open for capture without blocking, and configures it.
    init(pcm: OpaquePointer, name: String, preferences: DeviceRequest) throws {
        self.pcm = pcm
        self.name = name
        AlsaMessages.silence()
        try configure(preferences)
    }

    deinit { snd_pcm_close(pcm) }

    var kind: DeviceRequest.DeviceKind {
        switch snd_pcm_type(pcm) {
        case SND_PCM_TYPE_HW, SND_PCM_TYPE_DSNOOP: .hardware
        case SND_PCM_TYPE_FILE, SND_PCM_TYPE_NULL: .formless
        default: .converting
        }
    }

    private func configure(_ request: DeviceRequest) throws {
        var allocated: OpaquePointer?
        try check(snd_pcm_hw_params_malloc(&allocated), "cannot allocate parameters")
        let parameters = allocated!
        defer { snd_pcm_hw_params_free(parameters) }

        try check(snd_pcm_hw_params_any(pcm, parameters), "offers no configuration")
        // Not supported by every plugin; where it is not, nothing resamples there.
        _ = snd_pcm_hw_params_set_rate_resample(pcm, parameters, 0)
        try check(
            snd_pcm_hw_params_set_access(pcm, parameters, SND_PCM_ACCESS_RW_INTERLEAVED),
            "offers no interleaved reading")
        try chooseFormat(request, parameters)
        try chooseChannelCount(request, parameters)
        try chooseSampleRate(request, parameters)
        chooseLengths(parameters)
        try check(snd_pcm_hw_params(pcm, parameters), "refuses the parameters (\(format.rawValue), \(sampleRate) Hz)")

        var period: snd_pcm_uframes_t = 0
        var buffer: snd_pcm_uframes_t = 0
        try check(snd_pcm_hw_params_get_period_size(parameters, &period, nil), "has no period length")
        try check(snd_pcm_hw_params_get_buffer_size(parameters, &buffer), "has no buffer length")
        periodLength = Int(period)
        bufferLength = Int(buffer)
        try configureSoftware()

        let type = String(cString: snd_pcm_type_name(snd_pcm_type(pcm)))
        let note = kind == .converting ? " (PCM type \(type): what lies behind it may convert)" : ""
        opening =
            "alsa:\(name): opened\(note) with \(format.rawValue), \(sampleRate) Hz, \(channelText(channelCount)), "
            + "period \(lengthText(periodLength)), buffer \(lengthText(bufferLength))"
    }

    private func configureSoftware() throws {
        var allocated: OpaquePointer?
        try check(snd_pcm_sw_params_malloc(&allocated), "cannot allocate parameters")
        let parameters = allocated!
        defer { snd_pcm_sw_params_free(parameters) }
        try check(snd_pcm_sw_params_current(pcm, parameters), "has no software parameters")
        let wake = min(captureBlockFrames, periodLength)
        try check(snd_pcm_sw_params_set_avail_min(pcm, parameters, snd_pcm_uframes_t(wake)), "refuses avail_min")
        try check(snd_pcm_sw_params(pcm, parameters), "refuses the software parameters")
    }

    private func chooseFormat(_ request: DeviceRequest, _ parameters: OpaquePointer) throws {
        for candidate in request.formats(for: kind)
        where snd_pcm_hw_params_set_format(pcm, parameters, candidate.alsaFormat) == 0 {
            format = candidate
            return
        }
        let wanted = request.formats(for: kind).map(\.rawValue).joined(separator: ", ")
        let offered = offeredFormats(pcm, parameters).joined(separator: ", ")
        throw failure(
            "offers none of the formats \(wanted); it has \(offered.isEmpty ? "none that is known" : offered)")
    }

    private func chooseChannelCount(_ request: DeviceRequest, _ parameters: OpaquePointer) throws {
        let supported = channelRange(parameters)
        for candidate in request.channelCounts(for: kind, supported: supported)
        where snd_pcm_hw_params_set_channels(pcm, parameters, UInt32(candidate)) == 0 {
            channelCount = candidate
            return
        }
        let wanted =
            request.fixed.channelCount.map { channelText($0) }
            ?? "from \(request.minimumChannelCount) to \(DeviceRequest.channelCounts.upperBound) channels"
        throw failure("does not offer \(wanted); it has \(rangeText(supported)) channels")
    }

    private func chooseSampleRate(_ request: DeviceRequest, _ parameters: OpaquePointer) throws {
        for candidate in request.sampleRates(for: kind)
        where snd_pcm_hw_params_set_rate(pcm, parameters, UInt32(candidate), 0) == 0 {
            sampleRate = candidate
            return
        }
        if request.fixed.sampleRate == nil {
            var rate = UInt32(request.modelSampleRate)
            if snd_pcm_hw_params_set_rate_near(pcm, parameters, &rate, nil) == 0,
                DeviceRequest.sampleRates.contains(Int(rate))
            {
                sampleRate = Int(rate)
                return
            }
        }
        let wanted = request.fixed.sampleRate.map { "\($0) Hz" } ?? "a rate from 8000 to 192000 Hz"
        throw failure("does not offer \(wanted); it has \(rangeText(rateRange(parameters))) Hz")
    }

    /// A period of about 10 ms, and the longest buffer up to a second: what the device holds while the machine is busy.
    /// Both are wishes; a device that knows better gets its way.
    private func chooseLengths(_ parameters: OpaquePointer) {
        var period: UInt32 = 10_000
        var buffer: UInt32 = 1_000_000
        _ = snd_pcm_hw_params_set_period_time_near(pcm, parameters, &period, nil)
        _ = snd_pcm_hw_params_set_buffer_time_near(pcm, parameters, &buffer, nil)
    }

    private func lengthText(_ frames: Int) -> String {
        "\(frames) frames (\((frames * 1000 + sampleRate / 2) / sampleRate) ms)"
    }

    private func failure(_ text: String) -> AudioCaptureError {
        AudioCaptureError(.device, "alsa:\(name): the device \(text)")
    }

    private func check(_ code: Int32, _ what: String) throws {
        if code < 0 { throw failure("\(what): \(alsaText(code))") }
    }
}

/// Opens a PCM for capture, without waiting for a busy device.
func openAlsaPCM(_ name: String) throws -> OpaquePointer {
    AlsaMessages.silence()
    AlsaMessages.clear()
    // libasound caches its configuration: without this a card that came later is not found.
    snd_config_update_free_global()
    var pcm: OpaquePointer?
    let code = snd_pcm_open(&pcm, name, SND_PCM_STREAM_CAPTURE, Int32(SND_PCM_NONBLOCK) | SND_PCM_NO_AUTO_RESAMPLE)
    if code < 0 {
        throw AudioCaptureError(.device, "alsa:\(name): \(openFailureText(code))", isBusy: code == -EBUSY)
    }
    return pcm!
}

/// Why a device could not be opened, and what to do about it.
func openFailureText(_ code: Int32) -> String {
    let message = AlsaMessages.first()
    let detail = message.isEmpty ? "" : " (\(message))"
    switch -code {
    case EBUSY: return "busy: another program has it open"
    case ENOENT, ENODEV, ENXIO: return "no such capture device\(detail); `earshot devices` lists them"
    case EACCES, EPERM: return "permission denied; the user must be in the group audio"
    default: return "cannot be opened: \(alsaText(code))\(detail)"
    }
}

func alsaText(_ code: Int32) -> String { String(cString: snd_strerror(code)) }

/// The names of the formats that remain possible.
func offeredFormats(_ pcm: OpaquePointer, _ parameters: OpaquePointer) -> [String] {
    (0...SND_PCM_FORMAT_LAST.rawValue).compactMap { number in
        let format = snd_pcm_format_t(rawValue: number)
        guard snd_pcm_hw_params_test_format(pcm, parameters, format) == 0, let name = snd_pcm_format_name(format)
        else { return nil }
        return String(cString: name)
    }
}

func rateRange(_ parameters: OpaquePointer) -> ClosedRange<Int> {
    var least: UInt32 = 0
    var most: UInt32 = 0
    snd_pcm_hw_params_get_rate_min(parameters, &least, nil)
    snd_pcm_hw_params_get_rate_max(parameters, &most, nil)
    return Int(least)...max(Int(least), Int(most))
}

func channelRange(_ parameters: OpaquePointer) -> ClosedRange<Int> {
    var least: UInt32 = 0
    var most: UInt32 = 0
    snd_pcm_hw_params_get_channels_min(parameters, &least)
    snd_pcm_hw_params_get_channels_max(parameters, &most)
    return Int(least)...max(Int(least), Int(most))
}

func rangeText(_ range: ClosedRange<Int>) -> String {
    range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
}

extension SampleFormat {
    var alsaFormat: snd_pcm_format_t {
        switch self {
        case .s16: SND_PCM_FORMAT_S16_LE
        case .s24Packed: SND_PCM_FORMAT_S24_3LE
        case .s24: SND_PCM_FORMAT_S24_LE
        case .s32: SND_PCM_FORMAT_S32_LE
        case .float: SND_PCM_FORMAT_FLOAT_LE
        }
    }
}
