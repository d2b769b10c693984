import Glibc
import Synchronization

/// The work of the thread that reads raw S16_LE mono samples from a descriptor. Whoever writes them waits when the ring
/// is full, so nothing is lost; with realtime pacing they are also handed on no faster than they would sound.
func standardInputCapture(
    _ descriptor: Int32, sampleRate: Int, pacing: AudioInput.Pacing
) -> (consuming CaptureWriter) -> Void {
    { writer in
        var writer = writer
        let capacity = pacing == .realtime ? max(1, sampleRate / 100) : captureBlockFrames
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: 2 * captureBlockFrames, alignment: 16)
        let mono = UnsafeMutablePointer<Float>.allocate(capacity: captureBlockFrames)
        defer {
            bytes.deallocate()
            mono.deallocate()
        }
        let converter = SampleConverter(format: .s16, channelCount: 1, channel: .mix)
        let blockBytes = 2 * min(capacity, captureBlockFrames)
        let stream = writer.stream
        // Half a sample may arrive at the end of a read; it waits here for its other half.
        var held = 0
        var due = monotonicNanoseconds()
        while stream.turn() {
            let limit = monotonicNanoseconds() + 500_000_000
            if stream.attention.waitForAny(descriptor: descriptor, until: limit) != .readable { continue }
            let got = read(descriptor, bytes + held, blockBytes - held)
            if got < 0 {
                let code = errno
                if code == EINTR || code == EAGAIN { continue }
                writer.finish(
                    AudioCaptureError(.input, "standard input: cannot be read: \(errorText(code))"))
                return
            }
            if got == 0 {
                writer.finish(failure(framesRead: stream.framesCaptured.load(ordering: .relaxed), oddByte: held == 1))
                return
            }
            let available = held + got
            let frameCount = available / 2
            _ = converter.convert(bytes, frameCount: frameCount, into: mono)
            held = available % 2
            if held == 1 {
                bytes.storeBytes(of: bytes.load(fromByteOffset: available - 1, as: UInt8.self), as: UInt8.self)
            }
            if pacing == .realtime {
                // A writer that paces itself is never slowed down: time it took is not made up for.
                due = max(due, monotonicNanoseconds()) + Int64(frameCount) * 1_000_000_000 / Int64(sampleRate)
                while !stream.isStopping && stream.attention.wait(until: due) {}
            }
            if !writer.deliverWaiting(UnsafeBufferPointer(start: mono, count: frameCount)) { break }
        }
        writer.finish(nil)
    }
}

private func failure(framesRead: Int, oddByte: Bool) -> AudioCaptureError? {
    if framesRead == 0 {
        return AudioCaptureError(
            .input, "standard input: ended without a sample; raw signed 16-bit little-endian mono is expected")
    }
    if oddByte {
        return AudioCaptureError(
            .input, "standard input: ended in the middle of a sample (an odd number of bytes); \(framesRead) were read")
    }
    return nil
}
