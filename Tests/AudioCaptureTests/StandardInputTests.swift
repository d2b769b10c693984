import Foundation
import Testing

@testable import AudioCapture

@Suite struct StandardInputTests {
    /// What an input makes of bytes that arrive in the given portions.
    private func record(
        _ bytes: [UInt8], portion: Int, rate: Int = 32_000, pacing: AudioInput.Pacing = .fullSpeed
    ) throws -> Recording {
        let pipe = Pipe()
        let descriptor = pipe.fileHandleForReading.fileDescriptor
        let input = try AudioInput(
            standardInput: descriptor,
            .init(source: .standardInput, pacing: pacing, standardInputRate: rate, ringDuration: .zero))
        let writing = pipe.fileHandleForWriting
        let writer = try WorkerThread(name: "writer") {
            var rest = bytes[...]
            while !rest.isEmpty {
                try? writing.write(contentsOf: rest.prefix(portion))
                rest = rest.dropFirst(portion)
            }
            try? writing.close()
        }
        let recording = Recording(input)
        #expect(writer.join(timeout: .seconds(10)))
        return recording
    }

    @Test(arguments: [1, 3, 1001, 100_000]) func readsRawSamples(portion: Int) throws {
        let values = (0..<(portion == 1 ? 2_000 : 100_000)).map { Float($0 % 3001 - 1500) / 2048 }
        let recording = try record(encode(values, as: .s16), portion: portion)
        #expect(recording.samples == values)
        #expect(recording.failure == nil)
    }

    @Test func resamples() throws {
        let recording = try record(encode(sine(440, rate: 48_000, count: 48_000), as: .s16), portion: 777, rate: 48_000)
        #expect(recording.samples.count == 32_000)
        let ideal = sine(440, rate: 32_000, count: 32_000)
        #expect(maximumDifference(recording.samples[1600..<30_400], ideal[1600..<30_400]) < 1e-4)
    }

    @Test func anOddByteIsReported() throws {
        let recording = try record([0, 0x40, 0, 0x40, 7], portion: 2)
        #expect(recording.samples == [0.5, 0.5])
        #expect(
            recording.failure?.description
                == "standard input: ended in the middle of a sample (an odd number of bytes); 2 were read")
    }

    @Test func nothingIsReported() throws {
        let recording = try record([], portion: 1)
        #expect(recording.failure?.description.hasPrefix("standard input: ended without a sample") == true)
    }

    @Test func realtimeKeepsPace() throws {
        let values = (0..<9_600).map { Float($0 % 3001 - 1500) / 2048 }
        let start = monotonicNanoseconds()
        let recording = try record(encode(values, as: .s16), portion: 100_000, pacing: .realtime)
        #expect(recording.samples == values)
        #expect(monotonicNanoseconds() - start >= 300_000_000)
    }

    @Test func stopsWhileNothingArrives() throws {
        let pipe = Pipe()
        let input = try AudioInput(
            standardInput: pipe.fileHandleForReading.fileDescriptor, .init(source: .standardInput))
        let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: 10)
        defer { buffer.deallocate() }
        #expect(try input.next(into: buffer, timeout: .milliseconds(1)) == .idle)
        #expect(input.handle.stop())
        #expect(try input.next(into: buffer, timeout: .seconds(10)) == .ended)
    }

    @Test func wrongRatesAreRefused() {
        #expect(throws: AudioCaptureError.self) {
            try AudioInput(.init(source: .standardInput, standardInputRate: 0))
        }
    }
}
