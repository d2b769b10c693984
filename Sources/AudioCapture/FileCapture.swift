import Glibc
import Synchronization

/// How much a device is taken to hold while nobody reads it; what realtime pacing imitates.
private let deviceBufferNanoseconds: Int64 = 1_000_000_000

/// The work of the thread that reads a file.
func fileCapture(
    _ file: SoundFile, channel: ChannelSelection, pacing: AudioInput.Pacing
) -> (consuming CaptureWriter) -> Void {
    { writer in
        switch pacing {
        case .fullSpeed: readAtFullSpeed(file, channel, writer)
        case .realtime: readInRealTime(file, channel, writer)
        }
    }
}

private func readAtFullSpeed(_ file: SoundFile, _ channel: ChannelSelection, _ writer: consuming CaptureWriter) {
    var blocks = FileBlocks(file, channel, frameCount: captureBlockFrames)
    while !writer.stream.isStopping {
        let block = blocks.next(writer.stream)
        if block.isEmpty {
            writer.finish(file.failureAtEnd())
            return
        }
        if !writer.deliverWaiting(block) { break }
    }
    writer.finish(nil)
}

private func readInRealTime(_ file: SoundFile, _ channel: ChannelSelection, _ writer: consuming CaptureWriter) {
    // 10 ms, as a device's period.
    var blocks = FileBlocks(file, channel, frameCount: max(1, min(captureBlockFrames, file.sampleRate / 100)))
    let start = monotonicNanoseconds()
    var position = 0
    while !writer.stream.isStopping {
        let block = blocks.next(writer.stream)
        if block.isEmpty {
            writer.finish(file.failureAtEnd())
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

/// Reads a file block by block, as mono.
struct FileBlocks: ~Copyable {
    private let file: SoundFile
    private let converter: SampleConverter
    private let frameCount: Int
    private let interleaved: UnsafeMutablePointer<Float>
    private let mono: UnsafeMutablePointer<Float>

    init(_ file: SoundFile, _ channel: ChannelSelection, frameCount: Int) {
        self.file = file
        self.frameCount = frameCount
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
        let count = file.read(into: interleaved, frameCount: frameCount)
        repaired = converter.convert(interleaved, frameCount: count, into: mono)
        return UnsafeBufferPointer(start: mono, count: count)
    }

    mutating func next(_ stream: CaptureStream) -> UnsafeBufferPointer<Float> {
        var repaired = 0
        let block = next(repaired: &repaired)
        if repaired > 0 { stream.repairedSamples.add(repaired, ordering: .relaxed) }
        return block
    }
}
