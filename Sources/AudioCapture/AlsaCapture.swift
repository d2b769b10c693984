import CALSA
import Glibc
import Synchronization

/// The work of the thread that captures from an ALSA device.
func alsaCapture(_ device: AlsaDevice, channel: ChannelSelection) -> (consuming CaptureWriter) -> Void {
    { writer in
        var writer = writer
        var loop = AlsaCaptureLoop(device, channel: channel)
        let failure = loop.run(&writer)
        writer.finish(failure)
    }
}

private struct AlsaCaptureLoop: ~Copyable {
    private let device: AlsaDevice
    private let pcm: OpaquePointer
    private let converter: SampleConverter
    private let blockLength: Int
    private let bytes: UnsafeMutableRawPointer
    private let mono: UnsafeMutablePointer<Float>
    /// Frames that make a read worthwhile.
    private let wakeLength: Int
    /// What to poll for the device, and one more for the stream.
    private let descriptors: UnsafeMutablePointer<pollfd>
    private let descriptorCount: Int

    /// When the last frame that was read had been captured, on the boot clock.
    private var lastFrameTime: Int64 = 0
    /// Recoveries since the last frame came.
    private var fruitlessRecoveries = 0
    private var pace: DevicePace
    private var losses: LossDetector

    /// A device that stops this often without a frame between is broken.
    private static let fruitlessRecoveryLimit = 100
    private static let waitMilliseconds: Int32 = 50

    init(_ device: AlsaDevice, channel: ChannelSelection) {
        self.device = device
        pcm = device.pcm
        converter = SampleConverter(format: device.format, channelCount: device.channelCount, channel: channel)
        blockLength = max(1, min(captureBlockFrames, device.bufferLength))
        bytes = .allocate(byteCount: blockLength * converter.bytesPerFrame, alignment: 16)
        mono = .allocate(capacity: blockLength)
        wakeLength = min(blockLength, device.periodLength)
        descriptorCount = max(0, Int(snd_pcm_poll_descriptors_count(pcm)))
        descriptors = .allocate(capacity: descriptorCount + 1)
        pace = DevicePace(sampleRate: device.sampleRate, bufferLength: device.bufferLength)
        losses = LossDetector(sampleRate: device.sampleRate)
    }

    deinit {
        bytes.deallocate()
        mono.deallocate()
        descriptors.deallocate()
    }

    /// - Returns: Why capture ended, or `nil` if it was told to.
    mutating func run(_ writer: inout CaptureWriter) -> AudioCaptureError? {
        AlsaMessages.silence()
        lastFrameTime = bootNanoseconds()
        let started = snd_pcm_start(pcm)
        if started < 0 { return failure("cannot be started", started) }
        while writer.stream.turn() {
            switch wait(writer.stream) {
            case .nothing: continue
            case .failed(let code):
                if let failure = recover(from: code, &writer) { return failure }
            case .ready:
                let result = read(&writer)
                if result > 0 { continue }
                if result == 0 || result == -Int(EAGAIN) {
                    nap(writer.stream)
                } else if let failure = recover(from: Int32(result), &writer) {
                    return failure
                }
            }
        }
        snd_pcm_drop(pcm)
        return nil
    }

    private enum Readiness { case ready, nothing, failed(Int32) }

    /// Waits until a period can be read, or it is time to look whether to stop.
    ///
    /// Not `snd_pcm_wait`, which begins its time limit anew whenever a plugin's descriptor wakes it for nothing.
    private func wait(_ stream: CaptureStream) -> Readiness {
        let available = snd_pcm_avail_update(pcm)
        if available < 0 { return .failed(Int32(available)) }
        if available >= wakeLength { return .ready }
        let count = snd_pcm_poll_descriptors(pcm, descriptors, UInt32(descriptorCount))
        if count < 0 { return .failed(count) }
        descriptors[Int(count)] = pollfd(fd: stream.attention.descriptor, events: Int16(POLLIN), revents: 0)
        let woken = poll(descriptors, nfds_t(count) + 1, Self.waitMilliseconds)
        if woken <= 0 || stream.isStopping { return .nothing }
        var events: UInt16 = 0
        let code = snd_pcm_poll_descriptors_revents(pcm, descriptors, UInt32(count), &events)
        if code < 0 { return .failed(code) }
        if Int32(events) & (POLLERR | POLLNVAL | POLLHUP) != 0 {
            switch snd_pcm_state(pcm) {
            case SND_PCM_STATE_XRUN: return .failed(-EPIPE)
            case SND_PCM_STATE_SUSPENDED: return .failed(-ESTRPIPE)
            case SND_PCM_STATE_DISCONNECTED: return .failed(-ENODEV)
            default: return .failed(-EIO)
            }
        }
        if Int32(events) & POLLIN != 0 { return .ready }
        nap(stream)
        return .nothing
    }

    /// After a wake-up for nothing, as some plugins give: not in a tight loop.
    private func nap(_ stream: CaptureStream) {
        _ = stream.attention.wait(until: monotonicNanoseconds() + 2_000_000)
    }

    /// Reads what is there, a block at most, and hands it on.
    /// - Returns: How many frames, or ALSA's code.
    private mutating func read(_ writer: inout CaptureWriter) -> Int {
        let available = snd_pcm_avail_update(pcm)
        if available < 0 { return available }
        let wanted = min(blockLength, max(1, available))
        // The file plugin leaves the buffer as it was where its file has ended: that must be silence, not an echo.
        memset(bytes, 0, wanted * converter.bytesPerFrame)
        let count = snd_pcm_readi(pcm, bytes, snd_pcm_uframes_t(wanted))
        if count <= 0 { return count }
        let (now, monotonic) = (bootNanoseconds(), monotonicNanoseconds())
        let pending = max(0, available - count)
        lastFrameTime = now - nanoseconds(ofFrames: pending)
        fruitlessRecoveries = 0
        if let loss = losses.loss(afterFrames: count, pending: pending, boot: now, monotonic: monotonic) {
            if loss.reason == .overrun { writer.stream.overrunCount.add(1, ordering: .relaxed) }
            writer.lose(loss.frames, reason: loss.reason)
        }
        let repaired = converter.convert(bytes, frameCount: count, into: mono)
        if repaired > 0 { writer.stream.repairedSamples.add(repaired, ordering: .relaxed) }
        writer.deliver(UnsafeBufferPointer(start: mono, count: count))
        if let due = pace.due(afterFrames: count, now: monotonic) {
            writer.stream.isPacedByClock.store(true, ordering: .relaxed)
            while !writer.stream.isStopping && writer.stream.attention.wait(until: due) {}
        }
        return count
    }

    private mutating func recover(from code: Int32, _ writer: inout CaptureWriter) -> AudioCaptureError? {
        let reason: GapReason
        switch -code {
        case EINTR: return nil
        case EPIPE:
            reason = .overrun
        case ESTRPIPE:
            reason = .suspend
            // EAGAIN: the driver is still waking up. Anything else: it cannot resume, so prepare it anew.
            while writer.stream.turn() && snd_pcm_resume(pcm) == -EAGAIN {
                _ = writer.stream.attention.wait(until: monotonicNanoseconds() + 20_000_000)
            }
        case ENODEV, EBADFD, ENXIO:
            let state = snd_pcm_state(pcm)
            if code == -EBADFD && state == SND_PCM_STATE_XRUN {
                reason = .overrun
            } else {
                return AudioCaptureError(.device, "alsa:\(device.name): the device is gone: \(alsaText(code))")
            }
        default:
            return failure("cannot be read", code)
        }
        fruitlessRecoveries += 1
        if fruitlessRecoveries > Self.fruitlessRecoveryLimit {
            return failure("stopped \(fruitlessRecoveries) times without delivering a frame", code)
        }
        if fruitlessRecoveries > 1 {
            _ = writer.stream.attention.wait(until: monotonicNanoseconds() + 10_000_000)
        }
        if snd_pcm_state(pcm) != SND_PCM_STATE_RUNNING {
            let prepared = snd_pcm_prepare(pcm)
            if prepared < 0 { return failure("cannot be prepared again", prepared) }
            let started = snd_pcm_start(pcm)
            if started < 0 { return failure("cannot be started again", started) }
        }
        // The device's buffer was thrown away with what stood in it: all since the last frame read is lost.
        let now = bootNanoseconds()
        let lost = Int((Double(now - lastFrameTime) * 1e-9 * Double(device.sampleRate)).rounded())
        lastFrameTime = now
        if reason == .overrun { writer.stream.overrunCount.add(1, ordering: .relaxed) }
        writer.lose(max(1, lost), reason: reason)
        pace.restart()
        losses.restart()
        return nil
    }

    private func nanoseconds(ofFrames count: Int) -> Int64 {
        Int64(Double(count) * 1e9 / Double(device.sampleRate))
    }

    private func failure(_ what: String, _ code: Int32) -> AudioCaptureError {
        AudioCaptureError(.device, "alsa:\(device.name): the device \(what): \(alsaText(code))")
    }
}
