import AudioEmbedding
import DetectionPipeline
import Foundation
import TestSupport
import Testing

@Suite struct ClipEmbedderTests {
    private func embedding(
        of samples: [Float], hasSecondPass: Bool = true, edit: (inout [String: Any]) -> Void = { _ in }
    ) throws -> [Float] {
        try withTemporaryDirectory { folder in
            let path = try #require(try makeDerivedModel(in: folder, prompts: ["dog"], edit: edit))
            var embedder = try ClipEmbedder(DetectionModel(path: path), hasSecondPass: hasSecondPass)
            return embedder.embed(samples)
        }
    }

    private func setShare(_ share: Double) -> (inout [String: Any]) -> Void {
        { configuration in
            var second = configuration["second_pass"] as? [String: Any] ?? [:]
            second["share"] = share
            configuration["second_pass"] = second
        }
    }

    /// The trainer's clip, heard as the trainer's reference hears it.
    @Test(.enabled(if: committedModelPath() != nil, "skipped: no models/earshot-mn04 in this checkout"))
    func equalsPyTorch() throws {
        let model = try DetectionModel(path: #require(committedModelPath()))
        let golden = try SafetensorsFile(path: model.directory.path(of: "golden.safetensors"))
        let samples = try golden.floats("samples", shape: golden.shape(of: "samples"))
        let clip = Array(samples.dropLast(model.configuration.encoder.lookaheadSamples))
        var embedder = try ClipEmbedder(model)
        let embedding = embedder.embed(clip)
        let expected = try golden.floats("clip_embedding", shape: [embedding.count])
        let comparison = compare(embedding, expected, absolute: 1e-3, relative: 1e-3, name: "clip embedding")
        #expect(comparison.holds, "\(comparison)")
    }

    @Test func isTheMeanOfBothPasses() throws {
        let clip = noise(seconds: 1.3)
        let (first, second) = (try embedding(of: clip, edit: setShare(0)), try embedding(of: clip, edit: setShare(1)))
        #expect(first != second)
        let mixed = try embedding(of: clip, edit: setShare(0.25))
        let comparison = compare(
            mixed, zip(first, second).map { 0.75 * $0 + 0.25 * $1 }, absolute: 1e-6, name: "mean of both passes")
        #expect(comparison.holds, "\(comparison)")
    }

    @Test func onePassIsThatOfTheStream() throws {
        let clip = noise(seconds: 1.3)
        let first = try embedding(of: clip, hasSecondPass: false)
        #expect(try embedding(of: clip, edit: setShare(0)) == first)
        #expect(try embedding(of: clip, edit: { $0["second_pass"] = nil }) == first)
    }

    /// The stream's encoder hears a recording that repeats a clip as it hears the clip, however often it does so.
    @Test func turnsOfAClipAreAlike() throws {
        // 16 steps to the frame, the last window's rest included, so that samples repeat as frames do.
        let turn = noise(seconds: 1.28, seed: 1) + silence(seconds: 0.64) + noise(seconds: 0.64, seed: 2)
        let recording = turn + turn + turn + turn.prefix(480)
        let (once, often) = (
            try embedding(of: turn, hasSecondPass: false), try embedding(of: recording, hasSecondPass: false)
        )
        let comparison = compare(once, often, absolute: 0.02, name: "three turns")
        #expect(comparison.holds, "\(comparison)")
    }

    @Test(arguments: [0, 1, 100]) func embedsVeryShortClips(count: Int) throws {
        var embedder = try ClipEmbedder(Fixture.model())
        let embedding = embedder.embed([Float](repeating: 0.1, count: count))
        #expect(embedding.allSatisfy { $0.isFinite })
        // No memory of the clip before.
        _ = embedder.embed(noise(seconds: 2))
        #expect(embedder.embed([Float](repeating: 0.1, count: count)) == embedding)
    }
}
