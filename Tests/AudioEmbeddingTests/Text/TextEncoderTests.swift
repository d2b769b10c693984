import Foundation
import TensorKernels
import TestSupport
import Testing

@testable import AudioEmbedding

@Suite struct TextEncoderTests {
    /// The golden prompts and what sentence-transformers makes of them, [200 x 384].
    private func golden() throws -> (prompts: [String], embeddings: Matrix) {
        let file = try SafetensorsFile(path: goldenPath("sentence-embeddings.safetensors"))
        let json = try #require(file.metadata["prompts"])
        let prompts = try JSONDecoder().decode([String].self, from: Data(json.utf8))
        return (prompts, try file.matrix("embeddings", columnCount: TextEncoder.embeddingSize))
    }

    private func cosine(_ a: [Float], _ b: [Float]) -> Double {
        var (ab, aa, bb) = (0.0, 0.0, 0.0)
        for (x, y) in zip(a, b) {
            ab += Double(x) * Double(y)
            aa += Double(x) * Double(x)
            bb += Double(y) * Double(y)
        }
        return ab / (aa * bb).squareRoot()
    }

    @Test func equalsSentenceTransformers() throws {
        guard let directory = installedTextEncoder() else { return }
        let (prompts, expected) = try golden()
        #expect(prompts.count == 200)
        let actual = try TextEncoder(directory: directory).embed(prompts)
        var worst = (cosine: 1.0, prompt: "")
        for (index, prompt) in prompts.enumerated() {
            let similarity = cosine(actual.row(index), expected.row(index))
            if similarity < worst.cosine { worst = (similarity, prompt) }
        }
        print("text encoder: lowest cosine to sentence-transformers on 200 prompts \(worst.cosine)")
        #expect(worst.cosine >= 0.9999, "\(worst.prompt.prefix(80))")
        // The golden file is float16: half a unit in the last place of 0.25 is 6e-5.
        let comparison = compare(actual, expected, absolute: 2e-5, relative: 1e-3, name: "sentence embeddings")
        #expect(comparison.holds, "\(comparison)")
    }

    /// A sentence's embedding does not depend on what is embedded beside it.
    @Test func batchesDoNotMatter() throws {
        guard let directory = installedTextEncoder() else { return }
        let encoder = try TextEncoder(directory: directory)
        let prompts = Array(try golden().prompts.prefix(70))
        let together = try encoder.embed(prompts)
        for index in stride(from: 0, to: prompts.count, by: 9) {
            let alone = try encoder.embed([prompts[index]])
            let comparison = compare(alone.values, together.row(index), absolute: 2e-6, name: prompts[index])
            #expect(comparison.holds, "\(comparison)")
        }
        #expect(try encoder.embed([]).rowCount == 0)
    }

    @Test func identityIsThatOfTheWeights() throws {
        guard let directory = installedTextEncoder() else { return }
        let encoder = try TextEncoder(directory: directory)
        #expect(encoder.identity == (try TextEncoder.identity(directory: directory)))
        #expect(encoder.identity.hasPrefix("all-MiniLM-L6-v2 "))
    }

    @Test func unusableFolders() throws {
        #expect { try TextEncoder(directory: "/nonexistent") } throws: {
            "\($0)" == "/nonexistent/vocab.txt: cannot be read"
        }
        try withTemporaryDirectory { folder in
            try write(Array("[UNK]\n[CLS]\n[SEP]\n".utf8), to: "\(folder)/vocab.txt")
            func failure(_ tensors: [(name: String, shape: [Int], values: [Float])]) throws -> String {
                try write(safetensors(tensors), to: "\(folder)/model.safetensors")
                do {
                    _ = try TextEncoder(directory: folder)
                    return "no error"
                } catch { return "\(error)" }
            }
            let words = "embeddings.word_embeddings.weight"
            let path = "\(folder)/model.safetensors"
            let other: [Float] = Array(repeating: 0, count: 8)
            #expect(try failure([("x", [1], [1])]) == "\(path): \(words): is missing")
            #expect(
                try failure([(words, [2, 4], other)]).hasPrefix(
                    "\(path): \(words): has shape [2, 4] instead of [3, 384]"))
            let right: [Float] = Array(repeating: 0, count: 3 * 384)
            #expect(
                try failure([(words, [3, 384], right), ("encoder.layer.6.attention.self.query.weight", [1], [1])])
                    == "\(path): has more than 6 layers; this is not all-MiniLM-L6-v2")
            #expect(
                try failure([(words, [3, 384], right)])
                    == "\(path): embeddings.position_embeddings.weight: is missing")
        }
    }

    /// Truncated weights are noticed before the forward pass, damaged ones after it.
    @Test func damagedWeights() throws {
        guard let directory = installedTextEncoder() else { return }
        try withTemporaryDirectory { folder in
            try FileManager.default.copyItem(atPath: "\(directory)/vocab.txt", toPath: "\(folder)/vocab.txt")
            let weights = "\(folder)/model.safetensors"
            try FileManager.default.copyItem(atPath: "\(directory)/model.safetensors", toPath: weights)
            let original = try FileHandle(forReadingAtPath: weights)?.readToEnd()
            let bytes = try #require(original)
            // Deep in the tensors of the layers.
            var damaged = bytes
            damaged.replaceSubrange(60_000_000..<60_000_400, with: repeatElement(0xFF, count: 400))
            try damaged.write(to: URL(fileURLWithPath: weights))
            #expect { try TextEncoder(directory: folder).embed(["dog"]) } throws: { error in
                "\(error)".contains("not finite for \"dog\"") || "\(error)".contains("nan")
            }
            try bytes.prefix(70_000_000).write(to: URL(fileURLWithPath: weights))
            #expect { try TextEncoder(directory: folder) } throws: { "\($0)".hasPrefix(weights) }
        }
    }
}
