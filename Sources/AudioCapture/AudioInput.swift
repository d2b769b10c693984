import Synchronization

/// What ``AudioInput/next(into:timeout:)`` found.
package enum InputEvent: Equatable, Sendable {
    /// So many samples at the model's rate were written, at least 1.
    case samples(Int)
    /// So many samples at the model's rate are missing here; the sample clock moves on by them.
    case gap(lostSamples: Int, reason: GapReason)
    /// Nothing arrived within the time limit.
    case idle
    /// The source has ended, or was told to stop; all samples were given out.
    case ended
}

/// One source of audio, opened: a capture thread of its own, a bounded ring, and a consumer's side that gives mono
/// samples at the model's rate.
///
/// The capture thread never waits for the consumer of a device (see ``CaptureWriter/deliver(_:)``). The consumer's side,
/// that is every method here, belongs to one thread at a time; ``handle`` is for all others.
package final class AudioInput {
    package struct Configuration: Sendable, Equatable {
        package var source: SourceSpecification
        /// The rate that the consumer gets, in Hz.
        package var modelSampleRate: Int
        package var channel: ChannelSelection
        package var pacing: Pacing
        /// Whether a file begins again when it has ended, for as long as the source lives.
        package var isLooping = false
        /// The rate of raw samples on standard input, in Hz; they are mono.
        package var standardInputRate: Int
        /// How long the consumer may stall before audio is dropped.
        package var ringDuration: Duration
        /// What to open a device with, instead of what suits it best.
        package var device: DevicePreferences

        package init(
            source: SourceSpecification, modelSampleRate: Int = 32_000, channel: ChannelSelection = .mix,
            pacing: Pacing = .fullSpeed, standardInputRate: Int = 32_000, ringDuration: Duration = .seconds(8),
            device: DevicePreferences = DevicePreferences()
        ) {
            self.source = source
            self.modelSampleRate = modelSampleRate
            self.channel = channel
            self.pacing = pacing
            self.standardInputRate = standardInputRate
            self.ringDuration = ringDuration
            self.device = device
        }
    }

    /// How fast files and standard input are read; a device has its own clock.
    package enum Pacing: Sendable, Equatable {
        /// As fast as the consumer takes it; nothing is lost.
        case fullSpeed
        /// By the clock. A file then behaves as a device does, with overruns and overflows.
        case realtime
    }

    /// One line for the log: what was opened and what is converted.
    package let opening: String
    /// The rate of the source, in Hz.
    package let sourceSampleRate: Int
    /// Stopping and counters, for any thread.
    package let handle: CaptureHandle
    /// The sample clock: samples at the model's rate since the source was opened, lost ones included.
    package private(set) var position = 0

    private let stream: CaptureStream
    private let modelSampleRate: Int
    private var resampler: Resampler?
    /// Frames of the source consumed, lost ones included.
    private var sourcePosition = 0
    /// ``position`` at the beginning of the current stretch between gaps.
    private var stretchStart = 0
    /// The stretch is over and the resampler's tail is being given out.
    private var isFinishingStretch = false

    /// Opens the source and starts to capture.
    /// - Throws: ``AudioCaptureError``.
    package convenience init(_ configuration: Configuration) throws {
        switch configuration.source {
        case .alsa(let device):
            let preferences = configuration.device.completed(
                modelSampleRate: configuration.modelSampleRate, channel: configuration.channel)
            let pcm = try AlsaDevice(open: device, preferences: preferences)
            try self.init(alsa: pcm, configuration)
        case .file(let path):
            let file = try SoundFile(path: path)
            let source = configuration.source.messageName
            try configuration.channel.check(channelCount: file.channelCount, source: source)
            let paced = configuration.pacing == .realtime
            let opening =
                "\(source): \(file.formatName), \(file.sampleRate) Hz, \(channelText(file.channelCount)), "
                + (configuration.isLooping ? "again and again, " : "") + (paced ? "in real time; " : "at full speed; ")
                + conversionText(configuration, sampleRate: file.sampleRate, channelCount: file.channelCount)
            try self.init(
                configuration, sampleRate: file.sampleRate, isLossless: !paced, opening: opening, threadName: "read",
                realTimePriority: nil,
                capture: fileCapture(
                    file, channel: configuration.channel, pacing: configuration.pacing,
                    isLooping: configuration.isLooping))
        case .standardInput:
            try self.init(standardInput: 0, configuration)
        }
    }

    /// Captures from an open device; tests bring their own PCM here.
    convenience init(alsa pcm: sending AlsaDevice, _ configuration: Configuration) throws {
        try configuration.channel.check(channelCount: pcm.channelCount, source: "alsa:\(pcm.name)")
        let opening =
            pcm.opening + "; "
            + conversionText(configuration, sampleRate: pcm.sampleRate, channelCount: pcm.channelCount)
        try self.init(
            configuration, sampleRate: pcm.sampleRate, isLossless: false, opening: opening, threadName: "capture",
            realTimePriority: 20, capture: alsaCapture(pcm, channel: configuration.channel))
    }

    /// Reads raw samples from a descriptor, which stays the caller's to close.
    convenience init(standardInput descriptor: Int32, _ configuration: Configuration) throws {
        let rate = configuration.standardInputRate
        guard SoundFile.sampleRates.contains(rate) else {
            throw AudioCaptureError(
                .usage,
                "standard input: a rate of \(rate) Hz is wrong; it must be from \(SoundFile.sampleRates.lowerBound) to "
                    + "\(SoundFile.sampleRates.upperBound)")
        }
        try configuration.channel.check(channelCount: 1, source: "standard input")
        let opening =
            "standard input: raw S16_LE, \(rate) Hz, 1 channel; "
            + conversionText(configuration, sampleRate: rate, channelCount: 1)
        try self.init(
            configuration, sampleRate: rate, isLossless: true, opening: opening, threadName: "read",
            realTimePriority: nil,
            capture: standardInputCapture(descriptor, sampleRate: rate, pacing: configuration.pacing))
    }

    private init(
        _ configuration: Configuration, sampleRate: Int, isLossless: Bool, opening: String, threadName: String,
        realTimePriority: Int32?, capture: sending @escaping (consuming CaptureWriter) -> Void
    ) throws {
        guard configuration.modelSampleRate > 0 else {
            throw AudioCaptureError(.usage, "a model sample rate of \(configuration.modelSampleRate) Hz is wrong")
        }
        let nanoseconds = configuration.ringDuration.boundedNanoseconds
        let capacity = Int(Double(nanoseconds) * 1e-9 * Double(sampleRate))
        // At least four of the largest blocks, at most 2^26 samples (256 MiB).
        stream = try CaptureStream(
            ringCapacity: min(max(capacity, 4 * captureBlockFrames), 1 << 26), isLossless: isLossless)
        self.opening = opening
        sourceSampleRate = sampleRate
        modelSampleRate = configuration.modelSampleRate
        if sampleRate != configuration.modelSampleRate {
            resampler = try Resampler(inputRate: sampleRate, outputRate: configuration.modelSampleRate)
        }
        let stream = stream
        let thread = try WorkerThread(name: "earshot-\(threadName)", realTimePriority: realTimePriority) {
            capture(CaptureWriter(stream))
        }
        handle = CaptureHandle(stream: stream, thread: thread, sampleRate: sampleRate)
    }

    deinit { stream.requestStop() }

    /// Gives out what comes next, waiting for it at most `timeout`. Neither allocates nor locks while audio flows (the
    /// resampler is set up anew after a gap).
    /// - Parameter buffer: Not empty; any length serves, 10 ms or more is efficient.
    /// - Throws: ``AudioCaptureError`` when the source has failed, after all that could be had from it was given out.
    package func next(into buffer: UnsafeMutableBufferPointer<Float>, timeout: Duration) throws -> InputEvent {
        precondition(!buffer.isEmpty, "no room for a sample")
        let deadline = monotonicNanoseconds() + timeout.boundedNanoseconds
        while true {
            if isFinishingStretch {
                let produced = try finishStretch(into: buffer)
                if produced > 0 { return .samples(produced) }
            }
            // A stop counts as the end at once, even if the capture thread is stuck in a driver.
            let completion = stream.isStopping ? .ended : stream.loadCompletion()
            switch stream.ring.front() {
            case .samples(let samples):
                let produced = try take(samples, into: buffer)
                if produced > 0 { return .samples(produced) }
            case .gap(let gap):
                if resampler?.isActive == true {
                    isFinishingStretch = true
                    continue
                }
                stream.ring.consumeGap()
                sourcePosition += gap.lostFrames
                let lostSamples = modelPosition - position
                position = modelPosition
                stretchStart = position
                return .gap(lostSamples: lostSamples, reason: gap.reason)
            case .empty:
                if completion != .running {
                    if resampler?.isActive == true {
                        isFinishingStretch = true
                        continue
                    }
                    if let failure = stream.loadFailure() { throw failure }
                    return .ended
                }
                if !stream.arrival.wait(until: deadline) { return .idle }
            }
        }
    }

    /// The sample clock at ``sourcePosition``.
    private var modelPosition: Int { convertPosition(sourcePosition, from: sourceSampleRate, to: modelSampleRate) }

    /// Moves samples from the ring to the consumer.
    private func take(
        _ samples: UnsafeBufferPointer<Float>, into buffer: UnsafeMutableBufferPointer<Float>
    ) throws -> Int {
        let consumed: Int
        let produced: Int
        if resampler != nil {
            (consumed, produced) = try resampler!.process(samples, into: buffer)
        } else {
            consumed = min(samples.count, buffer.count)
            produced = consumed
            buffer.baseAddress!.update(from: samples.baseAddress!, count: consumed)
        }
        stream.ring.consume(consumed)
        if stream.isLossless && consumed > 0 { stream.attention.signal() }
        sourcePosition += consumed
        position += produced
        return produced
    }

    private func finishStretch(into buffer: UnsafeMutableBufferPointer<Float>) throws -> Int {
        let produced = try resampler!.finish(total: modelPosition - stretchStart, into: buffer)
        position += produced
        if produced == 0 {
            try resampler!.restart()
            isFinishingStretch = false
            stretchStart = position
        }
        return produced
    }
}

/// The most frames that are read at once.
let captureBlockFrames = 4096

func channelText(_ count: Int) -> String { count == 1 ? "1 channel" : "\(count) channels" }

private func conversionText(_ configuration: AudioInput.Configuration, sampleRate: Int, channelCount: Int) -> String {
    let taken = configuration.channel.description(channelCount: channelCount)
    let rate = configuration.modelSampleRate
    return sampleRate == rate
        ? "taking \(taken), not resampled" : "taking \(taken), resampled to \(rate) Hz by libsoxr"
}
