import AudioCapture
import DaemonConfiguration
import EventClient
import Foundation

extension Diagnosis {
    // MARK: Devices

    /// Opens the source as the daemon does, listens, and tells what came.
    func check(_ source: SourceConfiguration, status: DaemonStatus?) async -> Finding {
        let name = "source \(source.name)"
        if source.device == "-" { return .ok(name, "standard input, which only the daemon itself can read") }
        do {
            let heard = try await listen(to: source)
            return Self.judge(name, heard, isDevice: source.device.hasPrefix("alsa:"))
        } catch let error as AudioCaptureError {
            guard error.isBusy, let state = status?.sources.first(where: { $0.name == source.name }) else {
                return .fail(name, "\(error)", error.isBusy ? Self.busyAdvice : Self.deviceAdvice)
            }
            return Self.judge(name, busy: state)
        } catch {
            return .fail(name, "\(error)", nil)
        }
    }

    private static let busyAdvice =
        "end that program (`fuser -v /dev/snd/*` names it), or share the device: pcm type dsnoop, or a sound server"
    private static let deviceAdvice = "`earshot devices` lists the names that exist; set `device` to one of them"

    /// What a device has given in a moment.
    private struct Heard: Sendable {
        /// What was opened and at which rate.
        var opening = ""
        var sampleCount = 0
        var sum = 0.0
        var squareSum = 0.0
        var peak: Float = 0
        var lostSamples = 0

        /// Without the constant part; −∞ for a constant.
        var level: Double {
            guard sampleCount > 0 else { return -.infinity }
            let mean = sum / Double(sampleCount)
            let variance = max(0, squareSum / Double(sampleCount) - mean * mean)
            return variance < 1e-14 ? -.infinity : 10 * log10(variance)
        }
    }

    private func listen(to source: SourceConfiguration) async throws -> Heard {
        var input = AudioInput.Configuration(source: try SourceSpecification(source.device))
        if case .number(let number) = source.channel { input.channel = .index(number) }
        let configuration = input
        let duration = listening
        // Reading blocks, which must not happen in the cooperative pool.
        return try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(with: Result { try Self.listen(configuration, for: duration) })
            }
        }
    }

    private static func listen(_ configuration: AudioInput.Configuration, for duration: Duration) throws -> Heard {
        let input = try AudioInput(configuration)
        defer { input.handle.stop() }
        var heard = Heard()
        heard.opening = input.opening
        let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: 4096)
        defer { buffer.deallocate() }
        let deadline = ContinuousClock.now + duration
        while ContinuousClock.now < deadline {
            switch try input.next(into: buffer, timeout: .milliseconds(200)) {
            case .samples(let count):
                heard.sampleCount += count
                for sample in buffer[..<count] {
                    heard.sum += Double(sample)
                    heard.squareSum += Double(sample) * Double(sample)
                    heard.peak = max(heard.peak, abs(sample))
                }
            case .gap(let lost, _): heard.lostSamples += lost
            case .idle: break
            case .ended: return heard
            }
        }
        return heard
    }

    private static func judge(_ name: String, _ heard: Heard, isDevice: Bool) -> Finding {
        guard heard.sampleCount > 0 else {
            return .fail(
                name, "\(heard.opening); no sample came",
                isDevice ? "the device is stuck: unplug it, or look at `dmesg`" : "the file is empty: name another")
        }
        guard heard.level.isFinite else {
            let text = "\(heard.opening); nothing but digital silence or a constant"
            return .warn(name, text, isDevice ? "is the microphone plugged in, and unmuted in alsamixer (F4)?" : nil)
        }
        let level = (heard.level * 10).rounded() / 10
        let text = "\(heard.opening); level \(level) dBFS"
        if heard.peak >= 0.999 {
            return .warn(name, text + ", clipped", "turn the capture gain down in alsamixer (F4)")
        }
        return .ok(name, text)
    }

    /// The daemon itself has the device: what it says counts.
    static func judge(_ name: String, busy source: DaemonStatus.Source) -> Finding {
        let level = source.levelDbfs.map { "level \($0) dBFS" } ?? "level not known yet"
        let text = "the daemon has it open (\(source.opening ?? source.device)), \(source.state), \(level)"
        if source.state == "up" { return .ok(name, text) }
        let problem = source.problem.map { ": \($0)" } ?? ""
        return .fail(name, text + problem, "see `journalctl -u earshotd`")
    }

    // MARK: Permissions

    /// Whether the daemon's user may open the capture devices, by their owner, group and mode.
    func checkSoundFolder(_ service: ServiceState) -> Finding {
        let name = "sound permissions"
        let usesCards = configuration.sources.contains { $0.device.hasPrefix("alsa:") }
        guard usesCards else { return .ok(name, "not needed: no source is an ALSA device") }
        let nodes = ((try? FileManager.default.contentsOfDirectory(atPath: soundFolder)) ?? [])
            .filter { $0.hasPrefix("pcmC") && $0.hasSuffix("c") }.sorted()
        guard !nodes.isEmpty else {
            return .warn(
                name, "there is no capture device in \(soundFolder)",
                "plug a microphone in; devices of a sound server need none (see `lsusb`, `dmesg`)")
        }
        let account = service.account ?? Account.current
        let refused = nodes.map { "\(soundFolder)/\($0)" }.filter { !account.mayOpen($0) }
        guard let first = refused.first else {
            return .ok(name, "\(account.name) may open all \(nodes.count) capture devices in \(soundFolder)")
        }
        let group = Account.groupName(of: first).map { " (its group is \($0))" } ?? ""
        return .fail(
            name, "\(account.name) may not open \(first)\(group)",
            "sudo adduser \(account.name) audio, then restart what runs as that user")
    }
}
