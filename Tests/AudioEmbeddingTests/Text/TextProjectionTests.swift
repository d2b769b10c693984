import AudioEmbedding
import Foundation
import TensorKernels
import TestSupport
import Testing

@Suite struct TextProjectionTests {
    /// The definition in double precision, written without the kernels.
    private func reference(_ text: [Float], _ fixture: TextModelFixture, retrieves: Bool) -> [Float] {
        func linear(_ x: [Double], _ name: String) -> [Double] {
            let bias = fixture.values(name + ".bias")
            let weight = fixture.values(name + ".weight")
            return bias.indices.map { out in
                x.indices.reduce(Double(bias[out])) { $0 + x[$1] * Double(weight[$1 * bias.count + out]) }
            }
        }
        func perceptron(_ name: String) -> [Double] {
            let hidden = linear(text.map(Double.init), name + ".0").map { $0 * 0.5 * erfc(-$0 / 2.0.squareRoot()) }
            return linear(hidden, name + ".1")
        }
        func unit(_ x: [Double], _ length: Float) -> [Double] {
            let norm = x.reduce(0) { $0 + $1 * $1 }.squareRoot()
            return x.map { $0 / norm * Double(length) }
        }
        let logits = perceptron("text.tags")
        let exponentials = logits.map { exp($0 - (logits.max() ?? 0)) }
        let vector =
            unit(exponentials, TextModelFixture.tagWeight)
            + unit(perceptron("text.joint"), TextModelFixture.jointWeight)
        let factor = fixture.values("metric.factor")
        let embedding = (0..<TextModelFixture.embeddingSize).map { row in
            vector.indices.reduce(0) { $0 + vector[$1] * Double(factor[row * vector.count + $1]) }
        }
        guard retrieves else { return embedding.map { Float($0) } }

        let (keys, values) = (fixture.values("retrieval.keys"), fixture.values("retrieval.values"))
        let joint = unit(perceptron("text.joint"), 1)
        let weights = (0..<TextModelFixture.soundCount).map { sound in
            exp(
                joint.indices.reduce(0) { $0 + joint[$1] * Double(keys[sound * joint.count + $1]) }
                    / Double(TextModelFixture.temperature))
        }
        let recalled = embedding.indices.map { column in
            weights.indices.reduce(0) { $0 + weights[$1] * Double(values[$1 * embedding.count + column]) }
        }
        return zip(embedding, unit(recalled, TextModelFixture.retrievalWeight)).map { Float($0 + $1) }
    }

    @Test(arguments: [false, true]) func equalsItsDefinition(retrieves: Bool) throws {
        let fixture = TextModelFixture()
        let projection = try withTemporaryDirectory {
            try TextProjection(fixture.write(to: $0, retrieves: retrieves))
        }
        var generator = SeededGenerator(seed: 1)
        var text = Matrix(rowCount: 5, columnCount: 384, values: generator.floats(5 * 384))
        normalizeRows(&text.values, rows: 5, columns: 384)
        let actual = projection.project(text)
        #expect(projection.embeddingSize == TextModelFixture.embeddingSize)
        let expected = Matrix(rows: (0..<5).map { reference(text.row($0), fixture, retrieves: retrieves) })
        let comparison = compare(actual, expected, absolute: 2e-6, relative: 2e-5, name: "text embedding")
        #expect(comparison.holds, "\(comparison)")
        #expect(projection.project(Matrix(rowCount: 0, columnCount: 384)).rowCount == 0)
    }

    /// Against the trainer's own numbers, where a model is committed.
    @Test func equalsTheTrainer() throws {
        guard let path = committedModelPath(), FileManager.default.fileExists(atPath: path + "/golden.safetensors")
        else {
            print("SKIPPED equalsTheTrainer(): no committed model with golden.safetensors")
            return
        }
        let model = try ModelDirectory(path: path)
        let golden = try SafetensorsFile(path: path + "/golden.safetensors")
        let prompts = try golden.matrix("prompt_embeddings", columnCount: 384)
        let expected = try golden.matrix(
            "text_embedding", columnCount: model.configuration.projection.embeddingSize)
        let comparison = compare(
            try TextProjection(model).project(prompts), expected, absolute: 1e-6, relative: 1e-4, name: "text embedding"
        )
        print(comparison)
        #expect(comparison.holds, "\(comparison)")

        guard let textEncoder = installedTextEncoder() else { return }
        let embedder = LabelEmbedder(model: model, textEncoderDirectory: textEncoder, cacheDirectory: nil)
        let fromWords = try embedder.embeddings(for: model.configuration.goldenPrompts)
        // The sentence embeddings are rounded to half precision on the way.
        let endToEnd = compare(fromWords, expected, absolute: 5e-4, relative: 1e-3, name: "text embedding from words")
        print(endToEnd)
        #expect(endToEnd.holds, "\(endToEnd)")
    }

    @Test func unusableModels() throws {
        try withTemporaryDirectory { folder in
            let fixture = TextModelFixture()
            let model = try fixture.write(to: folder, dropping: "text.joint.1.bias")
            #expect { try TextProjection(model) } throws: {
                "\($0)" == "\(folder)/model.safetensors: text.joint.1.bias: is missing"
            }
            let other = try fixture.write(to: folder, textSize: 768)
            #expect { try TextProjection(other) } throws: {
                "\($0)" == "\(folder)/config.json: text.embedding_size: is 768 instead of 384"
            }
            let silent = try fixture.write(to: folder, dropping: "retrieval.values", retrieves: true)
            #expect { try TextProjection(silent) } throws: {
                "\($0)" == "\(folder)/model.safetensors: retrieval.values: is missing"
            }
            #expect {
                try fixture.write(to: folder, retrieves: true, temperature: 0)
            } throws: {
                "\($0)" == "\(folder)/config.json: projection.retrieval.temperature: is 0.0, not above 0"
            }
        }
    }
}
