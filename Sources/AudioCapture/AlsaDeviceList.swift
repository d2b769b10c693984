import CALSA
import Glibc

/// A capture device that ALSA knows.
package struct CaptureDevice: Sendable, Equatable {
    /// The name to write behind `alsa:`. For hardware it holds the card's id, which stays the same over a reboot and
    /// over replugging, unlike the card's number.
    package var name: String
    /// For people, e.g. `USB Audio Device, USB Audio`.
    package var description: String
    /// Whether it is a device of a card, not a definition in ALSA's configuration.
    package var isHardware: Bool
    /// What it can do, where it could be opened.
    package var capabilities: Capabilities?
    /// Why it could not be opened, e.g. that it is busy.
    package var problem: String?

    package struct Capabilities: Sendable, Equatable {
        /// ALSA's names of the formats.
        package var formats: [String]
        /// In Hz.
        package var sampleRates: ClosedRange<Int>
        package var channelCounts: ClosedRange<Int>
    }
}

/// Lists the capture devices of all cards, then the named PCMs of ALSA's configuration that can capture.
package func captureDevices() -> [CaptureDevice] {
    AlsaMessages.silence()
    // Otherwise libasound shows the cards of when it was first asked.
    snd_config_update_free_global()
    return hardwareDevices() + configuredDevices()
}

private func hardwareDevices() -> [CaptureDevice] {
    var devices: [CaptureDevice] = []
    var card: Int32 = -1
    while snd_card_next(&card) == 0 && card >= 0 {
        var control: OpaquePointer?
        guard snd_ctl_open(&control, "hw:\(card)", 0) == 0, let control else { continue }
        defer { snd_ctl_close(control) }
        var cardInformation: OpaquePointer?
        guard snd_ctl_card_info_malloc(&cardInformation) == 0, let cardInformation else { continue }
        defer { snd_ctl_card_info_free(cardInformation) }
        guard snd_ctl_card_info(control, cardInformation) == 0 else { continue }
        let id = String(cString: snd_ctl_card_info_get_id(cardInformation))
        let cardName = String(cString: snd_ctl_card_info_get_name(cardInformation))
        devices += hardwareDevices(control, cardID: id, cardName: cardName)
    }
    return devices
}

private func hardwareDevices(_ control: OpaquePointer, cardID: String, cardName: String) -> [CaptureDevice] {
    var devices: [CaptureDevice] = []
    var information: OpaquePointer?
    guard snd_pcm_info_malloc(&information) == 0, let information else { return [] }
    defer { snd_pcm_info_free(information) }
    var number: Int32 = -1
    while snd_ctl_pcm_next_device(control, &number) == 0 && number >= 0 {
        snd_pcm_info_set_device(information, UInt32(number))
        snd_pcm_info_set_subdevice(information, 0)
        snd_pcm_info_set_stream(information, SND_PCM_STREAM_CAPTURE)
        // A device that only plays has no capture information.
        guard snd_ctl_pcm_info(control, information) == 0 else { continue }
        let deviceName = String(cString: snd_pcm_info_get_name(information))
        devices.append(
            probe("hw:CARD=\(cardID),DEV=\(number)", description: "\(cardName), \(deviceName)", isHardware: true))
    }
    return devices
}

private func configuredDevices() -> [CaptureDevice] {
    var hints: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
    guard snd_device_name_hint(-1, "pcm", &hints) == 0, let hints else { return [] }
    defer { snd_device_name_free_hint(hints) }
    var devices: [CaptureDevice] = []
    var next = hints
    while let hint = next.pointee {
        next += 1
        guard let name = hintText(hint, "NAME"), isOfInterest(name) else { continue }
        // No direction means both.
        if let direction = hintText(hint, "IOID"), direction != "Input" { continue }
        let words = hintText(hint, "DESC")?.split(whereSeparator: \.isWhitespace).joined(separator: " ") ?? ""
        devices.append(probe(name, description: words, isHardware: false))
    }
    return devices
}

/// Leaves out what is no device: the variants of cards that are listed already, and converters that need a slave.
private func isOfInterest(_ name: String) -> Bool {
    let converters: Set<String> = [
        "null", "lavrate", "samplerate", "speexrate", "speex", "upmix", "vdownmix", "jack", "oss", "a52", "usbstream",
    ]
    return !name.contains("CARD=") && !converters.contains(name)
}

private func hintText(_ hint: UnsafeMutableRawPointer, _ id: String) -> String? {
    guard let text = snd_device_name_get_hint(hint, id) else { return nil }
    defer { free(text) }
    return String(cString: text)
}

/// Opens a device for a moment to learn what it can do.
private func probe(_ name: String, description: String, isHardware: Bool) -> CaptureDevice {
    var device = CaptureDevice(name: name, description: description, isHardware: isHardware)
    AlsaMessages.clear()
    var opened: OpaquePointer?
    let code = snd_pcm_open(&opened, name, SND_PCM_STREAM_CAPTURE, Int32(SND_PCM_NONBLOCK) | SND_PCM_NO_AUTO_RESAMPLE)
    guard code >= 0, let pcm = opened else {
        device.problem = openFailureText(code)
        return device
    }
    defer { snd_pcm_close(pcm) }
    var allocated: OpaquePointer?
    guard snd_pcm_hw_params_malloc(&allocated) == 0, let parameters = allocated else { return device }
    defer { snd_pcm_hw_params_free(parameters) }
    let any = snd_pcm_hw_params_any(pcm, parameters)
    guard any >= 0 else {
        device.problem = "offers no configuration: \(alsaText(any))"
        return device
    }
    _ = snd_pcm_hw_params_set_rate_resample(pcm, parameters, 0)
    device.capabilities = CaptureDevice.Capabilities(
        formats: offeredFormats(pcm, parameters), sampleRates: rateRange(parameters),
        channelCounts: channelRange(parameters))
    return device
}
