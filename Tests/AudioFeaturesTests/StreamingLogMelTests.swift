import AudioFeatures
import TensorKernels
import TestSupport
import Testing

@Suite struct StreamingLogMelTests {
    private let samples: [Float]

    init() {
        var generator = SeededGenerator(seed: 11)
        samples = generator.floats(320_000)
    }

    /// Feeds the samples in chunks of the given sizes, in turn.
    private func stream(_ stream: inout StreamingLogMel, _ samples: [Float], chunks: [Int]) -> Matrix {
        let melCount = stream.configuration.melCount
        var frames: [Float] = []
        var position = 0
        var turn = 0
        while position < samples.count {
            let chunk = Array(samples[position..<min(position + chunks[turn % chunks.count], samples.count)])
            let capacity = stream.frameCapacity(forSampleCount: chunk.count)
            var part = [Float](repeating: .nan, count: capacity * melCount)
            let written = chunk.withUnsafeBufferPointer { input in
                part.withUnsafeMutableBufferPointer { stream.process(input, into: $0) }
            }
            #expect(written == capacity)
            frames += part
            position += chunk.count
            turn += 1
        }
        return Matrix(rowCount: frames.count / melCount, columnCount: melCount, values: frames)
    }

    @Test(arguments: [
        ([1], 20_000), ([7], 40_000), ([320], 320_000), ([319, 321, 1], 40_000), ([799], 40_000), ([800], 40_000),
        ([10_000, 3], 320_000), ([320_000], 320_000),
    ])
    func equalsBatchUnderAnyChunking(chunks: [Int], count: Int) throws {
        let clip = Array(samples.prefix(count))
        let batch = try LogMel(.mn04).frames(of: clip)
        var streaming = try StreamingLogMel(.mn04)
        #expect(stream(&streaming, clip, chunks: chunks) == batch)
        streaming.reset()
        #expect(stream(&streaming, clip, chunks: [4096]) == batch)
    }

    @Test(arguments: [
        LogMelConfiguration(
            sampleRate: 8000, preEmphasis: 0, windowPeriodic: true, windowLength: 100, fftLength: 100, hopLength: 100,
            melCount: 5, minimumFrequency: 50, maximumFrequency: 4000, logOffset: 1, outputOffset: 0, outputScale: 1),
        LogMelConfiguration(
            sampleRate: 16000, preEmphasis: 0.5, windowLength: 333, fftLength: 500, hopLength: 1, melCount: 40,
            minimumFrequency: 0, maximumFrequency: 8000, logOffset: 1e-3, outputOffset: 1, outputScale: 2),
    ])
    func otherSettingsStreamAsWell(configuration: LogMelConfiguration) throws {
        let clip = Array(samples.prefix(9001))
        var streaming = try StreamingLogMel(configuration)
        let batch = try LogMel(configuration).frames(of: clip)
        #expect(stream(&streaming, clip, chunks: [13, 2000]) == batch)
    }

    @Test func frameCounts() throws {
        let logMel = try LogMel(.mn04)
        for (samples, frames) in [(0, 0), (799, 0), (800, 1), (1119, 1), (1120, 2), (320_000, 998)] {
            #expect(logMel.frames(of: [Float](repeating: 0, count: samples)).rowCount == frames)
        }
    }

    @Test func digitalSilenceIsTheFloor() throws {
        let frames = try LogMel(.mn04).frames(of: [Float](repeating: 0, count: 1600))
        let floor = (Float(-11.512925) + 4.5) * 0.2
        let comparison = compare(frames.values, [Float](repeating: floor, count: frames.values.count), absolute: 1e-6)
        #expect(comparison.holds, "\(comparison)")
    }

    @Test func samplesThatAreNotFiniteCountAsZero() throws {
        var clip = Array(samples.prefix(4000))
        var cleaned = clip
        for (index, value) in [(0, Float.nan), (1234, .infinity), (1235, -.infinity), (3999, .signalingNaN)] {
            clip[index] = value
            cleaned[index] = 0
        }
        let expected = try LogMel(.mn04).frames(of: cleaned)
        #expect(try LogMel(.mn04).frames(of: clip) == expected)
        var streaming = try StreamingLogMel(.mn04)
        #expect(stream(&streaming, clip, chunks: [7]) == expected)
    }

    @Test(arguments: [Float.greatestFiniteMagnitude, 1e30, .leastNonzeroMagnitude])
    func absurdLevelsStayFinite(level: Float) throws {
        let clip = samples.prefix(2000).map { $0 * level }
        #expect(try LogMel(.mn04).frames(of: clip).values.allSatisfy { $0.isFinite })
    }

    @Test func aHopLaterIsAFrameLater() throws {
        let clip = Array(samples.prefix(8000))
        let shifted = [Float](repeating: 0, count: 320) + clip
        let frames = try LogMel(.mn04).frames(of: clip)
        let later = try LogMel(.mn04).frames(of: shifted)
        #expect(Array(later.values.dropFirst(128)) == frames.values)
    }

    @Test func impossibleSettingsAreNamed() {
        var configuration = LogMelConfiguration.mn04
        configuration.hopLength = 0
        let error = #expect(throws: LogMelConfigurationError.self) { try LogMel(configuration) }
        #expect(error?.description == "front_end.hop_length is 0, not 1 to window_length (800) samples")
    }
}
