import CALSA
import Foundation
import Testing

@testable import AudioCapture

/// ALSA's `file` plugin on `null`, from a configuration of the test's own. `ALSA_CONFIG_PATH` is of the whole process,
/// hence serialized, and all suites that need it are in here.
@Suite(.serialized) struct AlsaFixtureTests {
    /// Runs with a configuration in which `pcm.fixture` plays the bytes.
    private func withFixture<Result>(_ bytes: [UInt8], _ body: () throws -> Result) throws -> Result {
        let folder = try TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let raw = try folder.write("x.raw", bytes)
        let text = """
            pcm.nothing { type null }
            pcm.fixture {
                type file
                slave.pcm { type null }
                file /dev/null
                infile "\(raw)"
                format raw
                hint { show on description "A file as a device" }
            }
            """
        return try withConfiguration(text, folder, body)
    }

    private func withConfiguration<Result>(
        _ text: String, _ folder: TemporaryFolder, _ body: () throws -> Result
    ) throws -> Result {
        let configuration = try folder.write("asound.conf", Array(text.utf8))
        let before = getenv("ALSA_CONFIG_PATH").map { String(cString: $0) }
        setenv("ALSA_CONFIG_PATH", configuration, 1)
        defer {
            if let before { setenv("ALSA_CONFIG_PATH", before, 1) } else { unsetenv("ALSA_CONFIG_PATH") }
            snd_config_update_free_global()
        }
        return try body()
    }

    private func configuration(
        _ device: DevicePreferences = DevicePreferences(), channel: ChannelSelection = .mix
    ) -> AudioInput.Configuration {
        .init(source: .alsa(device: "fixture"), channel: channel, device: device)
    }

    @Test func opensAsIs() throws {
        let values = (0..<16_000).map { Float($0 % 997) / 1024 }
        try withFixture(encode(values, as: .s16)) {
            let input = try AudioInput(configuration())
            #expect(
                input.opening.hasPrefix(
                    "alsa:fixture: opened with S16_LE, 32000 Hz, 1 channel, period 320 frames (10 ms)"))
            #expect(input.opening.hasSuffix("taking the only channel, not resampled"))
            let recording = Recording(input, limit: values.count)
            #expect(recording.samples.prefix(values.count).elementsEqual(values))
            #expect(recording.gaps.isEmpty)
        }
    }

    @Test(arguments: SampleFormat.allCases, [8_000, 44_100, 48_000, 192_000])
    func readsFormatsAndRates(format: SampleFormat, rate: Int) throws {
        let left = sine(440, rate: rate, count: rate / 4)
        let right = [Float](repeating: 0.125, count: left.count)
        try withFixture(encode(interleave([left, right]), as: format)) {
            let input = try AudioInput(
                configuration(
                    DevicePreferences(sampleRate: rate, format: format, channelCount: 2), channel: .index(1)))
            #expect(input.opening.contains("\(format.rawValue), \(rate) Hz, 2 channels"))
            let recording = Recording(input, limit: 7000)
            let ideal = sine(440, rate: 32_000, count: 8000)
            let tolerance: Float = format == .s16 ? 6e-5 : 2e-5
            #expect(maximumDifference(recording.samples[1000..<7000], ideal[1000..<7000]) < tolerance)
        }
    }

    @Test(arguments: [1, 3, 8, 32]) func readsManyChannels(channelCount: Int) throws {
        let channels = (0..<channelCount).map { c in (0..<3200).map { Float($0 % 100 - c) / 256 } }
        try withFixture(encode(interleave(channels), as: .s24Packed)) {
            for number in Set([1, (channelCount + 1) / 2, channelCount]) {
                let input = try AudioInput(
                    configuration(
                        DevicePreferences(format: .s24Packed, channelCount: channelCount), channel: .index(number)))
                let recording = Recording(input, limit: 3200)
                #expect(recording.samples.prefix(3200).elementsEqual(channels[number - 1]))
            }
        }
    }

    /// The plugin has no clock and delivers as fast as it is read: capture must neither spin nor overflow the ring.
    @Test func aDeviceWithoutClockIsPaced() throws {
        let values = [Float](repeating: 0.5, count: 64_000)
        try withFixture(encode(values, as: .s16)) {
            let before = monotonicNanoseconds()
            let recording = Recording(try AudioInput(configuration()), limit: 64_000)
            #expect(recording.samples.count >= 64_000)
            #expect(recording.gaps.isEmpty)
            #expect(recording.statistics.isPacedByClock)
            // A buffer and a bit comes at once, the rest at the pace of sound.
            #expect(monotonicNanoseconds() - before > 500_000_000)
        }
    }

    @Test func afterTheFileComesSilence() throws {
        try withFixture(encode([Float](repeating: 0.5, count: 1000), as: .s16)) {
            let recording = Recording(try AudioInput(configuration()), limit: 10_000)
            #expect(recording.samples.prefix(1000).allSatisfy { $0 == 0.5 })
            #expect(recording.samples.dropFirst(1000).allSatisfy { $0 == 0 })
        }
    }

    @Test func aConsumerThatStallsSeesOneGap() throws {
        try withFixture(encode([Float](repeating: 0.5, count: 32_000 * 4), as: .s16)) {
            var configuration = configuration()
            configuration.ringDuration = .milliseconds(100)
            let input = try AudioInput(configuration)
            // The ring holds 16,384 samples at least; wait until it has run over.
            while input.handle.statistics.framesDropped == 0 { usleep(10_000) }
            let full = input.handle.statistics
            #expect(full.ringFill == full.ringCapacity)
            let recording = Recording(input, limit: full.ringCapacity + 1000)
            #expect(recording.gaps.first?.index == full.ringCapacity)
            #expect(recording.gaps.first?.reason == .overflow)
            #expect((recording.gaps.first?.lostSamples ?? 0) >= full.framesDropped)
        }
    }

    @Test func missingDevicesAreNamed() throws {
        try withFixture([]) {
            var configuration = configuration()
            configuration.source = .alsa(device: "nowhere")
            #expect {
                try AudioInput(configuration)
            } throws: { error in
                let text = (error as? AudioCaptureError)?.description ?? ""
                return text.hasPrefix("alsa:nowhere: no such capture device (Unknown PCM nowhere)")
            }
            configuration.source = .alsa(device: "fixture")
            configuration.channel = .index(0)
            #expect(throws: AudioCaptureError.self) { try AudioInput(configuration) }
        }
    }

    @Test func listsConfiguredDevices() throws {
        try withFixture([0, 0]) {
            let devices = captureDevices()
            let fixture = try #require(devices.first { $0.name == "fixture" })
            #expect(fixture.description == "A file as a device")
            #expect(!fixture.isHardware)
            #expect(fixture.problem == nil)
            #expect(fixture.capabilities?.formats.contains("S24_3LE") == true)
            #expect(!devices.contains { $0.name == "null" })
        }
    }

    /// A sound server: a null sink's monitor through the ALSA pulse plugin, while a tone plays into the sink.
    @Test func listensToPulseAudio() throws {
        guard let server = try PulseServer() else {
            print("skipped listensToPulseAudio: pulseaudio or pacat is not installed, or did not start")
            return
        }
        defer { server.stop() }
        try server.play(sine(1000, rate: 48_000, count: 48_000 * 20))
        let text = "pcm.monitor { type pulse server \"\(server.address)\" device \"earshot.monitor\" }"
        try withConfiguration(text, server.folder) {
            let input = try AudioInput(.init(source: .alsa(device: "monitor")))
            #expect(input.opening.contains("PCM type IOPLUG"))
            #expect(input.opening.contains("48000 Hz, 2 channels"))
            let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: 320)
            defer { buffer.deallocate() }
            // Silence until the player has started, then half a second of tone.
            var tone: [Float] = []
            for _ in 0..<10_000 where tone.count < 16_000 {
                guard case .samples(let count) = try input.next(into: buffer, timeout: .seconds(5)) else { continue }
                if !tone.isEmpty || buffer.prefix(count).contains(where: { abs($0) > 0.1 }) {
                    tone += buffer.prefix(count)
                }
            }
            try #require(tone.count >= 16_000)
            // The energy must lie at 1 kHz: project on its sine and cosine, over whole periods.
            let middle = tone[4000..<12_000]
            let reference = (sine(1000, rate: 32_000, count: 8_008, amplitude: 1))
            let inPhase = zip(middle, reference).reduce(0) { $0 + $1.0 * $1.1 } / 4000
            let quadrature = zip(middle, reference.dropFirst(8)).reduce(0) { $0 + $1.0 * $1.1 } / 4000
            let amplitude = (inPhase * inPhase + quadrature * quadrature).squareRoot()
            print("pulse: \(input.opening); amplitude \(amplitude); \(input.handle.statistics)")
            #expect(abs(amplitude - 0.5) < 0.02)
            #expect(input.handle.stop())

            // The server's end is the device's end, and no hang.
            let next = try AudioInput(.init(source: .alsa(device: "monitor")))
            _ = try next.next(into: buffer, timeout: .seconds(5))
            server.stop()
            let recording = Recording(next, patience: 5)
            print("pulse killed: \(recording.failure?.description ?? "no failure")")
            #expect(recording.failure?.kind == .device)
        }
    }

    /// With the machine's own configuration: whatever is there, it must be listed without a word on standard error.
    @Test func listsWhateverIsHere() {
        for device in captureDevices() {
            print("capture device \(device.name): \(device.problem ?? "can be opened")")
            #expect(!device.name.isEmpty)
            #expect(device.capabilities != nil || device.problem != nil)
        }
    }
}
