import AudioEmbedding
import AudioFeatures
import TensorKernels
import TestSupport
import Testing

@Suite struct StreamingEncoderTests {
    /// Feeds frames in chunks of the given sizes, in turn.
    private func stream(_ stream: inout StreamingAudioEncoder, _ frames: Matrix, chunks: [Int]) -> Matrix {
        let size = stream.embeddingSize
        var steps: [Float] = []
        var position = 0
        var turn = 0
        while position < frames.rowCount {
            let count = min(chunks[turn % chunks.count], frames.rowCount - position)
            let input = Array(frames.values[position * frames.columnCount..<(position + count) * frames.columnCount])
            var part = [Float](repeating: .nan, count: stream.stepCapacity(forFrameCount: count) * size)
            let written = input.withUnsafeBufferPointer { input in
                part.withUnsafeMutableBufferPointer { stream.process(input, frameCount: count, into: $0) }
            }
            steps += part.prefix(written * size)
            position += count
            turn += 1
        }
        return Matrix(rowCount: steps.count / size, columnCount: size, values: steps)
    }

    private func randomFrames(_ count: Int, _ melCount: Int) -> Matrix {
        var generator = SeededGenerator(seed: 5)
        return Matrix(rowCount: count, columnCount: melCount, values: generator.floats(count * melCount))
    }

    @Test(arguments: [[1], [2], [3], [16], [5, 1, 31], [32], [33], [200]])
    func equalsBatchUnderAnyChunking(chunks: [Int]) throws {
        let encoder = try AudioEncoder(TinyModel.load())
        let frames = randomFrames(200, 18)
        let batch = encoder.encode(frames)
        #expect(batch.rowCount == encoder.stepCount(forFrameCount: 200))
        var streaming = StreamingAudioEncoder(encoder, maximumFrames: 200)
        let comparison = compare(stream(&streaming, frames, chunks: chunks), batch, absolute: 1e-5)
        #expect(comparison.holds, "\(comparison)")
        streaming.reset()
        let again = compare(stream(&streaming, frames, chunks: [7]), batch, absolute: 1e-5)
        #expect(again.holds, "after reset: \(again)")
    }

    /// Every stride, dilation, lookahead and squeeze window that the configuration may ask for.
    @Test(arguments: [1, 2], [1, 3])
    func equalsBatchForOtherGeometries(dilation: Int, window: Int) throws {
        for lookahead in 0...4 * dilation {
            let text = TinyModel.configuration
                .replacingFirst(#""time_dilation": 2"#, with: #""time_dilation": \#(dilation)"#)
                .replacingFirst(#""lookahead": 2"#, with: #""lookahead": \#(lookahead)"#)
                .replacingFirst(#""squeeze_window": 5"#, with: #""squeeze_window": \#(window)"#)
            let encoder = try AudioEncoder(TinyModel.load(configuration: text))
            let frames = randomFrames(90, 18)
            var streaming = StreamingAudioEncoder(encoder, maximumFrames: 13)
            let comparison = compare(
                stream(&streaming, frames, chunks: [13, 2]), encoder.encode(frames), absolute: 1e-5,
                name: "lookahead \(lookahead)")
            #expect(comparison.holds, "\(comparison)")
        }
    }

    @Test(arguments: [0, 1, 11, 12, 333]) func wholeClipEqualsBatch(frameCount: Int) throws {
        let encoder = try AudioEncoder(TinyModel.load())
        let frames = randomFrames(frameCount, 18)
        let comparison = compare(encoder.steps(of: frames), encoder.encode(frames), absolute: 1e-5)
        #expect(comparison.holds, "\(comparison)")
    }

    @Test func stepComesWithItsLastFrame() throws {
        let encoder = try AudioEncoder(TinyModel.load())
        let lookahead = encoder.configuration.lookaheadFrames
        for step in 0..<5 {
            #expect(encoder.stepCount(forFrameCount: 4 * step + lookahead) == step)
            #expect(encoder.stepCount(forFrameCount: 4 * step + lookahead + 1) == step + 1)
        }
        #expect(encoder.stepCount(forFrameCount: 0) == 0)
    }

    @Test func missingOrMisshapenTensorsAreNamed() throws {
        for index in TinyModel.shapes.indices where TinyModel.shapes[index].name.hasPrefix("features") {
            let name = TinyModel.shapes[index].name
            let missing = try TinyModel.load { $0.remove(at: index) }
            let error = try #require(throws: ModelError.self) { try AudioEncoder(missing) }
            #expect(error.item == name && error.problem == "is missing")
            let wrong = try TinyModel.load { $0[index].shape[0] += 1 }
            let other = try #require(throws: ModelError.self) { try AudioEncoder(wrong) }
            #expect(other.item == name && other.problem.hasPrefix("has shape"), "\(other)")
        }
    }
}
