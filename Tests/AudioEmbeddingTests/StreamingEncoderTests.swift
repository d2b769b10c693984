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

    // MARK: Whole clips between zeros

    /// As the batch form with zeros after each layer's input, under any chunking, and again after a reset.
    @Test(arguments: [1, 3, 8, 40], [1, 7, 32])
    func finishPadsEachLayer(steps: Int, chunk: Int) throws {
        let encoder = try AudioEncoder(TinyModel.load())
        let frames = randomFrames(4 * steps, 18)
        let batch = encoder.encode(frames, isPadded: true)
        #expect(batch.rowCount == steps)
        var streaming = StreamingAudioEncoder(encoder, maximumFrames: 32)
        for _ in 0..<2 {
            let comparison = compare(finished(&streaming, frames, chunk: chunk), batch, absolute: 1e-5)
            #expect(comparison.holds, "\(comparison)")
            streaming.reset()
        }
    }

    @Test(arguments: 0...8)
    func finishPadsEveryLookahead(lookahead: Int) throws {
        let text = TinyModel.configuration.replacingFirst(#""lookahead": 2"#, with: #""lookahead": \#(lookahead)"#)
        let encoder = try AudioEncoder(TinyModel.load(configuration: text))
        let frames = randomFrames(40, 18)
        var streaming = StreamingAudioEncoder(encoder, maximumFrames: 13)
        let batch = encoder.encode(frames, isPadded: true)
        let comparison = compare(finished(&streaming, frames, chunk: 13), batch, absolute: 1e-5)
        #expect(comparison.holds, "\(comparison)")
    }

    private func finished(_ streaming: inout StreamingAudioEncoder, _ frames: Matrix, chunk: Int) -> Matrix {
        let steps = stream(&streaming, frames, chunks: [chunk])
        var last = [Float](repeating: .nan, count: 64 * streaming.embeddingSize)
        let written = last.withUnsafeMutableBufferPointer { streaming.finish(into: $0) }
        let values = steps.values + last.prefix(written * streaming.embeddingSize)
        return Matrix(
            rowCount: values.count / streaming.embeddingSize, columnCount: streaming.embeddingSize, values: values)
    }

    /// With a squeeze window of one column there is nothing to know beforehand; with a longer one there is.
    @Test func aClipHeardBeforeChangesTheRunningMeansOnly() throws {
        let frames = randomFrames(40, 18)
        let narrow = try AudioEncoder(
            TinyModel.load(
                configuration: TinyModel.configuration.replacingFirst(
                    #""squeeze_window": 5"#, with: #""squeeze_window": 1"#)))
        let same = compare(
            narrow.paddedSteps(of: frames, meanFrames: 40), narrow.encode(frames, isPadded: true), absolute: 1e-5)
        #expect(same.holds, "\(same)")

        let encoder = try AudioEncoder(TinyModel.load())
        let (heard, batch) = (encoder.paddedSteps(of: frames, meanFrames: 40), encoder.encode(frames, isPadded: true))
        #expect(heard.rowCount == 10)
        #expect(!compare(Array(heard.values.prefix(32)), Array(batch.values.prefix(32)), absolute: 1e-4).holds)
        // Once the window holds columns of the second hearing alone, both are the same.
        let tail = compare(Array(heard.values.suffix(3 * 32)), Array(batch.values.suffix(3 * 32)), absolute: 1e-5)
        #expect(tail.holds, "\(tail)")
        #expect(encoder.paddedSteps(of: frames, meanFrames: 12).rowCount == 10)
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
