import Glibc
import Synchronization

/// How much a device is taken to hold while nobody reads it; what realtime pacing imitates.
private let deviceBufferNanoseconds: Int64 = 1_000_000_000

/// The work of the thread that reads a file.
func fileCapture(
    _ file: SoundFile, channel: ChannelSelection, pacing: AudioInput.Pacing, isLooping: Bool
) -> (consuming CaptureWriter) -> Void {
    { writer in
        switch pacing {
        case .fullSpeed: readAtFullSpeed(file, channel, isLooping: isLooping, writer)
        case .realtime: readInRealTime(file, channel, isLooping: isLooping, writer)
        }
    }
}

private func readAtFullSpeed(
    _ file: SoundFile, _ channel: ChannelSelection, isLooping: Bool, _ writer: consuming CaptureWriter
) {
    var blocks = FileBlocks(file, channel, frameCount: captureBlockFrames, isLooping: isLooping)
    while writer.stream.turn() {
        let block = blocks.next(writer.stream)
        if block.isEmpty {
            writer.finish(blocks.failureAtEnd())
            return
        }
        if !writer.deliverWaiting(block) { break }
    }
    writer.finish(nil)
}

private func readInRealTime(
    _ file: SoundFile, _ channel: ChannelSelection, isLooping: Bool, _ writer: consuming CaptureWriter
) {
    // 10 ms, as a device's period.
    let frameCount = max(1, min(captureBlockFrames, file.sampleRate / 100))
    var blocks = FileBlocks(file, channel, frameCount: frameCount, isLooping: isLooping)
    let start = monotonicNanoseconds()
    var position = 0
    while writer.stream.turn() {
        let block = blocks.next(writer.stream)
        if block.isEmpty {
            writer.finish(blocks.failureAtEnd())
            return
        }
        position += block.count
        // A block is there once its last sample has sounded.
        let (seconds, rest) = position.quotientAndRemainder(dividingBy: file.sampleRate)
        let due = start + Int64(seconds) * 1_000_000_000 + Int64(rest) * 1_000_000_000 / Int64(file.sampleRate)
        let late = monotonicNanoseconds() - due
        if late > deviceBufferNanoseconds {
            let frames = Int(Double(late) * 1e-9 * Double(file.sampleRate))
            var lost = block.count
            while lost < frames {
                let skipped = blocks.next(writer.stream).count
                if skipped == 0 { break }
                position += skipped
                lost += skipped
            }
            writer.stream.overrunCount.add(1, ordering: .relaxed)
            writer.lose(lost, reason: .overrun)
            continue
        }
        if late < 0 { _ = writer.stream.attention.wait(until: due) }
        writer.deliver(block)
    }
    writer.finish(nil)
}

/// Reads a file block by block, as mono; a looping one over and over.
struct FileBlocks: ~Copyable {
    private let file: SoundFile
    private let converter: SampleConverter
    private let frameCount: Int
    private let isLooping: Bool
    private var rewindFailure: AudioCaptureError?
    private let interleaved: UnsafeMutablePointer<Float>
    private let mono: UnsafeMutablePointer<Float>

    init(_ file: SoundFile, _ channel: ChannelSelection, frameCount: Int, isLooping: Bool = false) {
        self.file = file
        self.frameCount = frameCount
        self.isLooping = isLooping
        converter = SampleConverter(format: .float, channelCount: file.channelCount, channel: channel)
        interleaved = .allocate(capacity: frameCount * file.channelCount)
        mono = .allocate(capacity: frameCount)
    }

    deinit {
        interleaved.deallocate()
        mono.deallocate()
    }

    /// The next block, empty at the end; valid until the next call.
    mutating func next(repaired: inout Int) -> UnsafeBufferPointer<Float> {
        var count = file.read(into: interleaved, frameCount: frameCount)
        // A file that is damaged, or has nothing in it, ends even so.
        if count == 0, isLooping, file.failureAtEnd() == nil {
            do {
                try file.rewind()
                count = file.read(into: interleaved, frameCount: frameCount)
            } catch {
                rewindFailure = error as? AudioCaptureError
            }
        }
        repaired = converter.convert(interleaved, frameCount: count, into: mono)
        return UnsafeBufferPointer(start: mono, count: count)
    }

    /// Why the blocks ended before they should, if they did.
    func failureAtEnd() -> AudioCaptureError? { rewindFailure ?? file.failureAtEnd() }

    mutating func next(_ stream: CaptureStream) -> UnsafeBufferPointer<Float> {
        var repaired = 0
        let block = next(repaired: &repaired)
        if repaired > 0 { stream.repairedSamples.add(repaired, ordering: .relaxed) }
        return block
    }
}
