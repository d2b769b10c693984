import CSndfile
import Dispatch
import Foundation
import Synchronization
import Testing

@testable import AudioCapture

@Suite struct SoundFileTests {
    struct Format: Sendable, CustomTestStringConvertible {
        var name: String
        var format: Int
        var rate = 44_100
        /// How far decoded samples may lie from the sine that was encoded.
        var tolerance: Float = 1e-4
        var testDescription: String { name }

        static let all = [
            Format(name: "a.wav", format: SF_FORMAT_WAV | SF_FORMAT_PCM_16),
            Format(name: "b.wav", format: SF_FORMAT_WAV | SF_FORMAT_PCM_24, rate: 96_000, tolerance: 2e-5),
            Format(name: "c.wav", format: SF_FORMAT_WAV | SF_FORMAT_PCM_32, rate: 192_000, tolerance: 2e-5),
            Format(name: "d.wav", format: SF_FORMAT_WAV | SF_FORMAT_FLOAT, rate: 8_000, tolerance: 2e-5),
            Format(name: "e.flac", format: SF_FORMAT_FLAC | SF_FORMAT_PCM_16, rate: 48_000),
            Format(name: "f.ogg", format: SF_FORMAT_OGG | SF_FORMAT_VORBIS, tolerance: 0.03),
            Format(name: "g.opus", format: SF_FORMAT_OGG | SF_FORMAT_OPUS, rate: 48_000, tolerance: 0.03),
            Format(name: "h.mp3", format: SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, tolerance: 0.03),
            Format(name: "i.aiff", format: SF_FORMAT_AIFF | SF_FORMAT_PCM_16, rate: 32_000),
        ]
    }

    @Test(arguments: Format.all, [1, 2]) func decodes(format: Format, channelCount: Int) throws {
        let folder = try TemporaryFolder()
        let path = folder.file(format.name)
        let count = format.rate * 2 + 77
        let signal = sine(500, rate: format.rate, count: count)
        let channels = [signal, [Float](repeating: 0, count: count)].prefix(channelCount)
        try writeSoundFile(
            path, format: format.format, rate: format.rate, channelCount: channelCount, interleave(Array(channels)))

        let decoded = try decodeFile(path, sampleRate: 32_000, channel: .index(1))
        #expect(decoded.failure == nil)
        #expect(decoded.sourceSampleRate == format.rate)
        #expect(decoded.samples.count == convertPosition(count, from: format.rate, to: 32_000))
        let ideal = sine(500, rate: 32_000, count: decoded.samples.count)
        let inner = 3200..<decoded.samples.count - 3200
        let difference = maximumDifference(decoded.samples[inner], ideal[inner])
        #expect(difference < format.tolerance, "\(format.name): \(difference)")

        let streamed = Recording(
            try AudioInput(.init(source: .file(path: path), channel: .index(1))), bufferLength: 333)
        #expect(streamed.failure == nil)
        #expect(streamed.samples.count == decoded.samples.count)
        #expect(maximumDifference(streamed.samples, decoded.samples) < 1e-6)
        #expect(streamed.statistics.framesCaptured == count)

        let mixed = try decodeFile(path, sampleRate: 32_000)
        let half = decoded.samples.map { $0 / Float(channelCount) }
        #expect(maximumDifference(mixed.samples[inner], half[inner]) < format.tolerance)
    }

    /// Formats that seek each in their own way; the seam is at the very sample.
    /// A file that cannot be read closes its own descriptor once, and no other thread's.
    @Test func unreadableFilesCloseNothingElse() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("words.wav")
        try Data("no sound at all".utf8).write(to: URL(fileURLWithPath: path))
        let isOver = Atomic(false)
        let lost = Atomic(0)
        DispatchQueue.concurrentPerform(iterations: 2) { worker in
            if worker == 0 {
                for _ in 0..<5000 { #expect(throws: AudioCaptureError.self) { try SoundFile(path: path) } }
                isOver.store(true, ordering: .relaxed)
            }
            while worker == 1 && !isOver.load(ordering: .relaxed) {
                let descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC)
                for _ in 0..<4 { _ = fcntl(descriptor, F_GETFD) }
                if close(descriptor) != 0 { lost.add(1, ordering: .relaxed) }
            }
        }
        #expect(lost.load(ordering: .relaxed) == 0)
    }

    @Test(arguments: ["wav", "flac", "ogg", "mp3"]) func loopBeginsAgain(kind: String) throws {
        let folder = try TemporaryFolder()
        let path = folder.file("loop.\(kind)")
        let formats = [
            "wav": SF_FORMAT_WAV | SF_FORMAT_PCM_16, "flac": SF_FORMAT_FLAC | SF_FORMAT_PCM_16,
            "ogg": SF_FORMAT_OGG | SF_FORMAT_VORBIS, "mp3": SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III,
        ]
        try writeSoundFile(path, format: formats[kind]!, rate: 32_000, sine(500, rate: 32_000, count: 10_001))
        let once = Recording(try AudioInput(.init(source: .file(path: path))))
        var configuration = AudioInput.Configuration(source: .file(path: path))
        configuration.isLooping = true
        let looped = Recording(try AudioInput(configuration), limit: 35_000)
        #expect(once.samples.count == 10_001 && looped.failure == nil && looped.samples.count >= 35_000)
        let expected = looped.samples.indices.map { once.samples[$0 % once.samples.count] }
        #expect(maximumDifference(looped.samples, expected) < 1e-3)
    }

    @Test func damagedLoopEnds() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("cut.wav")
        try writeSoundFile(
            path, format: SF_FORMAT_WAV | SF_FORMAT_PCM_16, rate: 32_000, sine(500, rate: 32_000, count: 10_000))
        try FileHandle(forWritingTo: URL(fileURLWithPath: path)).truncate(atOffset: 8_000)
        var configuration = AudioInput.Configuration(source: .file(path: path))
        configuration.isLooping = true
        let recording = Recording(try AudioInput(configuration), limit: 35_000)
        #expect(recording.failure?.description.contains("truncated") == true && recording.samples.count < 10_000)
    }

    /// A small ring makes reader and consumer wait for each other all the time.
    @Test func fullSpeedLosesNothing() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a.wav")
        let values = (0..<300_000).map { Float($0 % 4001) / 8192 }
        try writeSoundFile(path, format: SF_FORMAT_WAV | SF_FORMAT_FLOAT, rate: 32_000, values)
        let input = try AudioInput(.init(source: .file(path: path), ringDuration: .zero))
        let recording = Recording(input, bufferLength: 320)
        #expect(recording.samples == values)
        #expect(recording.gaps.isEmpty)
        #expect(input.position == values.count)
        #expect(input.opening.hasPrefix("\(path): WAV (Microsoft), 32 bit float, 32000 Hz, 1 channel, at full speed;"))
    }

    @Test func realtimeKeepsPace() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a.wav")
        let values = sine(440, rate: 32_000, count: 12_800)
        try writeSoundFile(path, format: SF_FORMAT_WAV | SF_FORMAT_FLOAT, rate: 32_000, values)
        let start = monotonicNanoseconds()
        let recording = Recording(try AudioInput(.init(source: .file(path: path), pacing: .realtime)))
        #expect(recording.samples == values)
        #expect(monotonicNanoseconds() - start >= 400_000_000)
    }

    @Test func realtimeDropsForASlowConsumer() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a.wav")
        let values = (0..<96_000).map { Float($0 % 4001) / 8192 }
        try writeSoundFile(path, format: SF_FORMAT_WAV | SF_FORMAT_FLOAT, rate: 192_000, values)
        // 16,384 frames: 85 ms.
        let input = try AudioInput(
            .init(source: .file(path: path), modelSampleRate: 192_000, pacing: .realtime, ringDuration: .zero))
        while input.handle.statistics.framesDropped == 0 { usleep(5000) }
        let recording = Recording(input)
        #expect(recording.gaps.allSatisfy { $0.reason == .overflow })
        #expect(recording.gaps.first?.index == 16_384)
        #expect(recording.samples.count + recording.gaps.reduce(0) { $0 + $1.lostSamples } == values.count)
        // Behind the gap it goes on at the right place.
        let gap = try #require(recording.gaps.first)
        #expect(recording.samples.dropFirst(gap.index).first == values[gap.index + gap.lostSamples])
        #expect(input.position == values.count)
    }

    @Test func stopEndsAWaitingReader() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a.wav")
        let values = [Float](repeating: 0.1, count: 500_000)
        try writeSoundFile(path, format: SF_FORMAT_WAV | SF_FORMAT_PCM_16, rate: 32_000, values)
        for pacing in [AudioInput.Pacing.fullSpeed, .realtime] {
            let input = try AudioInput(.init(source: .file(path: path), pacing: pacing, ringDuration: .zero))
            let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: 10)
            defer { buffer.deallocate() }
            #expect(try input.next(into: buffer, timeout: .seconds(10)) == .samples(10))
            #expect(input.handle.stop())
        }
    }

    @Test func unusableSamplesAreMended() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a.wav")
        var values = [Float](repeating: 0.25, count: 1000)
        values[10] = .nan
        values[20] = .infinity
        try writeSoundFile(path, format: SF_FORMAT_WAV | SF_FORMAT_FLOAT, rate: 32_000, values)
        let decoded = try decodeFile(path, sampleRate: 32_000)
        #expect(decoded.repairedSamples == 2)
        #expect(decoded.samples.allSatisfy { $0.isFinite })
        let recording = Recording(try AudioInput(.init(source: .file(path: path))))
        #expect(recording.statistics.repairedSamples == 2)
        #expect(recording.samples == decoded.samples)
    }
}
