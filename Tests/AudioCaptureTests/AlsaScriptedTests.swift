import CALSA
import Testing

@testable import AudioCapture

/// Devices of every kind, through libasound with a PCM of the test's own.
@Suite(.serialized) struct AlsaScriptedTests {
    private func open(
        _ scripted: ScriptedPCM, channel: ChannelSelection = .mix, modelSampleRate: Int = 32_000
    ) throws -> AudioInput {
        let configuration = AudioInput.Configuration(
            source: .alsa(device: "scripted"), modelSampleRate: modelSampleRate, channel: channel)
        let request = configuration.device.completed(modelSampleRate: modelSampleRate, channel: channel)
        // The script belongs to the capture thread from here on; the test only keeps it alive.
        nonisolated(unsafe) let device = try AlsaDevice(pcm: scripted.pcm, name: "scripted", preferences: request)
        return try AudioInput(alsa: device, configuration)
    }

    @Test(arguments: SampleFormat.allCases, [1, 2, 8, 32])
    func readsEachFormat(format: SampleFormat, channelCount: Int) throws {
        let values = (0..<4000).map { Float(($0 * 37) % 2000 - 1000) / 2048 }
        let other = [Float](repeating: -0.25, count: values.count)
        let channels = (1...channelCount).map { $0 == channelCount ? values : other }
        let scripted = try ScriptedPCM(
            encode(interleave(channels), as: format), bytesPerFrame: format.bytesPerSample * channelCount,
            offer: .init(formats: [format.alsaFormat], channelCounts: channelCount...channelCount))
        let input = try open(scripted, channel: .index(channelCount))
        #expect(input.opening.contains("\(format.rawValue), 32000 Hz, \(channelText(channelCount))"))
        let recording = Recording(input, limit: values.count)
        #expect(recording.samples == values)
        #expect(recording.statistics.framesCaptured == values.count)
        withExtendedLifetime(scripted) {}
    }

    @Test(arguments: [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
    func opensAtTheDevicesRate(rate: Int) throws {
        let count = rate / 2
        let scripted = try ScriptedPCM(
            encode(sine(1000, rate: rate, count: count), as: .s32), bytesPerFrame: 4,
            offer: .init(formats: [SND_PCM_FORMAT_S32_LE], rates: [rate]), script: [(count, .vanish)])
        let input = try open(scripted)
        #expect(input.sourceSampleRate == rate)
        #expect(input.opening.contains("resampled to 32000 Hz by libsoxr"))
        let recording = Recording(input)
        #expect(recording.samples.count == convertPosition(count, from: rate, to: 32_000))
        let ideal = sine(1000, rate: 32_000, count: 16_000)
        #expect(maximumDifference(recording.samples[1600..<14_400], ideal[1600..<14_400]) < 2e-5)
        #expect(recording.failure?.kind == .device)
        #expect(recording.failure?.description.hasPrefix("alsa:scripted: the device is gone") == true)
        withExtendedLifetime(scripted) {}
    }

    @Test func prefersTheModelsRateThenOneAbove() throws {
        func rate(_ offered: [Int]) throws -> Int {
            let scripted = try ScriptedPCM([], bytesPerFrame: 2, offer: .init(rates: offered))
            // As for hardware: the kind of a test's PCM counts as converting.
            let candidates = DeviceRequest().sampleRates(for: .hardware)
            defer { withExtendedLifetime(scripted) {} }
            return try #require(candidates.first { offered.contains($0) })
        }
        #expect(try rate([8_000, 16_000, 32_000, 48_000]) == 32_000)
        #expect(try rate([16_000, 44_100, 48_000, 96_000]) == 48_000)
        #expect(try rate([16_000, 44_100, 96_000]) == 44_100)
        #expect(try rate([22_050, 88_200, 192_000]) == 88_200)
        #expect(try rate([8_000, 11_025, 16_000, 22_050]) == 22_050)
    }

    @Test func prefersTheWidestFormat() throws {
        let offer = ScriptedPCM.Offer(
            formats: [SND_PCM_FORMAT_S16_LE, SND_PCM_FORMAT_S32_LE, SND_PCM_FORMAT_S24_LE], rates: [32_000, 48_000])
        let scripted = try ScriptedPCM([], bytesPerFrame: 4, offer: offer)
        let device = try AlsaDevice(pcm: scripted.pcm, name: "scripted", preferences: DeviceRequest())
        #expect(device.format == .s32)
        #expect(device.bufferLength >= device.periodLength * 2)
        #expect(device.periodLength <= device.sampleRate / 40)
        withExtendedLifetime(scripted) {}
    }

    @Test func saysWhatADeviceOffers() throws {
        func message(_ offer: ScriptedPCM.Offer, _ request: DeviceRequest) throws -> String {
            let scripted = try ScriptedPCM([], bytesPerFrame: 2, offer: offer)
            defer { withExtendedLifetime(scripted) {} }
            do {
                _ = try AlsaDevice(pcm: scripted.pcm, name: "x", preferences: request)
                return "opened"
            } catch let error as AudioCaptureError {
                #expect(error.kind == .device)
                return error.description
            }
        }
        let strange = ScriptedPCM.Offer(formats: [SND_PCM_FORMAT_U8, SND_PCM_FORMAT_S16_BE])
        #expect(try message(strange, DeviceRequest()).hasSuffix("it has U8, S16_BE"))
        #expect(
            try message(.init(), DeviceRequest(fixed: DevicePreferences(sampleRate: 48_000)))
                == "alsa:x: the device does not offer 48000 Hz; it has 32000 Hz")
        #expect(
            try message(.init(channelCounts: 2...2), DeviceRequest(minimumChannelCount: 3))
                == "alsa:x: the device does not offer from 3 to 32 channels; it has 2 channels")
        #expect(
            try message(.init(), DeviceRequest(fixed: DevicePreferences(format: .float)))
                == "alsa:x: the device offers none of the formats FLOAT_LE; it has S16_LE")
    }

    @Test func recoversFromOverruns() throws {
        let values = (0..<6000).map { Float($0 % 1000) / 1024 }
        let scripted = try ScriptedPCM(
            encode(values, as: .s16), bytesPerFrame: 2, offer: .init(),
            script: [(1500, .overrun(milliseconds: 30)), (4000, .overrun(milliseconds: 0)), (6000, .vanish)])
        let before = bootNanoseconds()
        let recording = Recording(try open(scripted))
        let elapsed = Double(bootNanoseconds() - before) * 1e-9
        #expect(recording.samples == values)
        #expect(recording.gaps.map(\.index) == [1500, 4000])
        #expect(recording.gaps.allSatisfy { $0.reason == .overrun })
        #expect(recording.statistics.overrunCount == 2)
        let lost = recording.gaps.reduce(0) { $0 + $1.lostSamples }
        #expect(lost == recording.statistics.lostFrames)
        // The device held its breath for 30 ms; more was lost only if the machine was busy.
        #expect((recording.gaps.first?.lostSamples ?? 0) >= 960)
        #expect(Double(lost) <= elapsed * 32_000)
        #expect(recording.failure?.kind == .device)
        withExtendedLifetime(scripted) {}
    }

    /// Around a gap the clock must stay exact also where samples are resampled.
    @Test func gapsKeepTheClock() throws {
        let values = sine(300, rate: 44_100, count: 30_000)
        let scripted = try ScriptedPCM(
            encode(values, as: .s32), bytesPerFrame: 4,
            offer: .init(formats: [SND_PCM_FORMAT_S32_LE], rates: [44_100]),
            script: [(10_007, .overrun(milliseconds: 5)), (20_001, .suspend), (30_000, .vanish)])
        let input = try open(scripted)
        let recording = Recording(input)
        #expect(recording.gaps.map(\.reason) == [.overrun, .suspend])
        #expect(recording.gaps.first?.index == convertPosition(10_007, from: 44_100, to: 32_000))
        let frames = 30_000 + recording.statistics.lostFrames
        #expect(input.position == convertPosition(frames, from: 44_100, to: 32_000))
        let lost = recording.gaps.reduce(0) { $0 + $1.lostSamples }
        #expect(input.position == recording.samples.count + lost)
        withExtendedLifetime(scripted) {}
    }

    @Test func aDeviceThatOnlyFailsIsGivenUp() throws {
        let script = (0..<200).map { _ in (frame: 0, action: ScriptedPCM.Action.overrun(milliseconds: 0)) }
        let scripted = try ScriptedPCM([0, 0], bytesPerFrame: 2, offer: .init(), script: script)
        let recording = Recording(try open(scripted), patience: 10)
        #expect(recording.samples.isEmpty)
        #expect(recording.failure?.description.contains("without delivering a frame") == true)
        withExtendedLifetime(scripted) {}
    }

    @Test func stopsWhileTheDeviceIsSilent() throws {
        let scripted = try ScriptedPCM([], bytesPerFrame: 2, offer: .init(), script: [(0, .stall)])
        let input = try open(scripted)
        let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: 10)
        defer { buffer.deallocate() }
        #expect(try input.next(into: buffer, timeout: .milliseconds(1)) == .idle)
        #expect(input.handle.stop())
        #expect(try input.next(into: buffer, timeout: .seconds(10)) == .ended)
        withExtendedLifetime(scripted) {}
    }
}
