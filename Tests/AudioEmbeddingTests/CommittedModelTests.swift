import AudioEmbedding
import AudioFeatures
import TensorKernels
import TestSupport
import Testing

/// Parity of the committed model with the PyTorch trainer that wrote it (`golden.safetensors`).
@Suite(.enabled(if: committedModelPath() != nil, "skipped: no models/earshot-mn04 in this checkout"))
struct CommittedModelTests {
    private let model: ModelDirectory
    private let golden: SafetensorsFile
    private let logMel: Matrix

    init() throws {
        let path = try #require(committedModelPath())
        model = try ModelDirectory(path: path)
        golden = try SafetensorsFile(path: model.path(of: "golden.safetensors"))
        logMel = try golden.matrix("logmel", columnCount: model.configuration.frontEnd.melCount)
    }

    /// Relative 1e-3, against the layer's own level: numbers near zero are compared with its root mean square.
    private func relative(_ actual: [Float], _ expected: [Float], name: String) -> Comparison {
        let square = expected.reduce(0) { $0 + $1 * $1 } / Float(max(expected.count, 1))
        return compare(actual, expected, absolute: 1e-3 * square.squareRoot(), relative: 1e-3, name: name)
    }

    @Test func everyLayerEqualsPyTorch() throws {
        let encoder = try AudioEncoder(model)
        for layer in encoder.layerOutputs(logMel) {
            let expected = try golden.floats(layer.name, shape: [layer.columns, layer.frequencies, layer.channels])
            let comparison = relative(layer.values, expected, name: layer.name)
            #expect(comparison.holds, "\(comparison)")
        }
    }

    @Test func stepsEqualPyTorch() throws {
        let expected = try golden.matrix("steps", columnCount: 384)
        let steps = try AudioEncoder(model).encode(logMel)
        #expect(steps.rowCount == expected.rowCount)
        let comparison = relative(steps.values, expected.values, name: "steps")
        #expect(comparison.holds, "\(comparison)")
    }

    @Test func lookaheadIsWhatTheLayersSay() {
        let encoder = model.configuration.encoder
        #expect(encoder.lookaheadSamples == encoder.lookaheadFrames * model.configuration.frontEnd.hopLength)
    }

    @Test(arguments: [1, 7, 16, 50]) func streamingEqualsBatch(chunk: Int) throws {
        let encoder = try AudioEncoder(model)
        var stream = StreamingAudioEncoder(encoder, maximumFrames: chunk)
        var steps: [Float] = []
        var part = [Float](repeating: 0, count: stream.stepCapacity(forFrameCount: chunk) * 384)
        for begin in Swift.stride(from: 0, to: logMel.rowCount, by: chunk) {
            let count = min(chunk, logMel.rowCount - begin)
            let frames = Array(logMel.values[begin * 128..<(begin + count) * 128])
            let written = frames.withUnsafeBufferPointer { frames in
                part.withUnsafeMutableBufferPointer { stream.process(frames, frameCount: count, into: $0) }
            }
            steps += part.prefix(written * 384)
        }
        let comparison = compare(steps, encoder.encode(logMel).values, absolute: 1e-4, name: "steps")
        #expect(comparison.holds, "\(comparison)")
    }

    @Test func projectionEqualsPyTorch() throws {
        var projection = try AudioProjection(model)
        let pooled = try golden.floats("pooled", shape: [projection.pooledSize])
        let embedding = projection.project(Matrix(rowCount: 1, columnCount: pooled.count, values: pooled)).values
        for (name, actual) in [
            ("tags", Array(projection.tagLogits)), ("audio_vector", Array(projection.lastVector)),
            ("audio_embedding", embedding),
        ] {
            let comparison = relative(actual, try golden.floats(name, shape: [actual.count]), name: name)
            #expect(comparison.holds, "\(comparison)")
        }
    }

    /// Its symmetric kernels reach further ahead, and its tensors have names of their own.
    @Test func secondPassEqualsPyTorch() throws {
        let configuration = try #require(model.configuration.secondPass).encoder
        #expect(configuration.lookaheadSamples == configuration.lookaheadFrames * 320)
        #expect(configuration.lookaheadFrames > model.configuration.encoder.lookaheadFrames)
        let encoder = try AudioEncoder(model, configuration: configuration)
        let samples = try golden.floats("samples", shape: golden.shape(of: "samples"))
        let clip = Array(samples.dropLast(model.configuration.encoder.lookaheadSamples))
        let frames = encoder.paddedFrames(of: clip, frontEnd: try LogMel(model.configuration.frontEnd))
        let expected = try golden.matrix("second_pass.steps", columnCount: 384)
        let steps = encoder.encode(frames)
        #expect(steps.rowCount == expected.rowCount)
        let comparison = relative(steps.values, expected.values, name: "second pass")
        #expect(comparison.holds, "\(comparison)")
    }

    /// The whole path from samples, as a clip is embedded.
    @Test func samplesToEmbedding() throws {
        let samples = try golden.floats("samples", shape: golden.shape(of: "samples"))
        let steps = try AudioEncoder(model).encode(LogMel(model.configuration.frontEnd).frames(of: samples))
        var pooled = [Float](repeating: 0, count: steps.columnCount)
        for row in 0..<steps.rowCount {
            for column in pooled.indices { pooled[column] += steps[row, column] / Float(steps.rowCount) }
        }
        var projection = try AudioProjection(model)
        let embedding = projection.project(Matrix(rowCount: 1, columnCount: pooled.count, values: pooled)).values
        let comparison = relative(
            embedding, try golden.floats("audio_embedding", shape: [embedding.count]), name: "audio_embedding")
        #expect(comparison.holds, "\(comparison)")
    }
}
