import AudioEmbedding
import Foundation
import TensorKernels
import TestSupport
import Testing

@Suite struct LabelEmbedderTests {
    private let prompts = ["This is a sound of dog.", "glass shattering", "This is a sound of dog.", "Größe"]

    @Test func withoutATextEncoder() throws {
        try withTemporaryDirectory { folder in
            let model = try TextModelFixture().write(to: folder)
            let embedder = LabelEmbedder(model: model, textEncoderDirectory: "/nowhere", cacheDirectory: nil)
            #expect(try embedder.embeddings(for: []).rowCount == 0)
            #expect { try embedder.embeddings(for: prompts) } throws: { error in
                let line = "\(error)"
                return (error as? MissingTextEncoderError)?.prompts.count == 3
                    && line.hasPrefix("no embedding of \"This is a sound of dog.\" and 2 more: ")
                    && line.contains("(looked in /nowhere)") && line.contains("make text-encoder")
                    && !line.contains("\n")
            }
            let nowhere = LabelEmbedder(model: model, textEncoderDirectory: nil, cacheDirectory: "\(folder)/cache")
            #expect(throws: MissingTextEncoderError.self) { try nowhere.embeddings(for: ["dog"]) }
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/cache"))
        }
    }

    /// Fresh, cached and bundled embeddings are the same numbers.
    @Test func sourcesAgree() throws {
        guard let textEncoder = installedTextEncoder() else { return }
        try withTemporaryDirectory { folder in
            let log = LogLines()
            let model = try TextModelFixture().write(to: folder)
            let cacheFolder = "\(folder)/cache"
            func embedder(_ textEncoder: String?, _ cache: String?) -> LabelEmbedder {
                LabelEmbedder(model: model, textEncoderDirectory: textEncoder, cacheDirectory: cache, log: log.append)
            }
            let fresh = try embedder(textEncoder, cacheFolder).embeddings(for: prompts)
            #expect(fresh.rowCount == 4 && fresh.columnCount == TextModelFixture.embeddingSize)
            #expect(fresh.row(0) == fresh.row(2))
            #expect(fresh.row(0) != fresh.row(1))
            #expect(try embedder(textEncoder, nil).embeddings(for: prompts) == fresh)
            // From the cache, with and without the text encoder's folder.
            #expect(try embedder(nil, cacheFolder).embeddings(for: prompts) == fresh)
            let sentences = try embedder(textEncoder, nil).sentenceEmbeddings(for: prompts)
            #expect(try embedder(nil, cacheFolder).sentenceEmbeddings(for: prompts) == sentences)
            // A new prompt joins what is cached.
            _ = try embedder(textEncoder, cacheFolder).embeddings(for: ["a new prompt", "glass shattering"])
            #expect(try embedder(nil, cacheFolder).embeddings(for: prompts + ["a new prompt"]).rowCount == 5)
            // A damaged cache is rebuilt.
            let file = "\(cacheFolder)/sentences.safetensors"
            try write(Array("junk".utf8), to: file)
            #expect(try embedder(textEncoder, cacheFolder).embeddings(for: prompts) == fresh)
            #expect(log.all.count == 2 && log.all[0].hasPrefix("label cache ignored and rebuilt: \(file)"))
            #expect(try embedder(nil, cacheFolder).embeddings(for: prompts) == fresh)

            // The bundle.
            let bundle = model.path(of: LabelEmbedder.bundleName)
            try embedder(textEncoder, nil).exportBundle(prompts: prompts, to: bundle)
            #expect(try embedder(nil, nil).embeddings(for: prompts) == fresh)
            // What the bundle lacks comes from the text encoder.
            let mixed = try embedder(textEncoder, cacheFolder).sentenceEmbeddings(for: ["another", "Größe"])
            #expect(mixed.row(1) == sentences.row(3))
        }
    }

    @Test func damagedBundleIsLogged() throws {
        try withTemporaryDirectory { folder in
            let log = LogLines()
            let model = try TextModelFixture().write(to: folder)
            try write(Array("junk junk junk".utf8), to: model.path(of: LabelEmbedder.bundleName))
            let embedder = LabelEmbedder(
                model: model, textEncoderDirectory: nil, cacheDirectory: nil, log: log.append)
            #expect(throws: MissingTextEncoderError.self) { try embedder.embeddings(for: ["dog"]) }
            #expect(log.all.count == 1)
            #expect(log.all[0].hasPrefix("bundled label embeddings ignored: \(folder)/labels.safetensors"))
        }
    }

    /// The mapping of the weights is gone once the embeddings are there.
    @Test func textWeightsLeaveMemory() throws {
        guard let textEncoder = installedTextEncoder() else { return }
        try withTemporaryDirectory { folder in
            let model = try TextModelFixture().write(to: folder)
            // A name of its own, since other tests may have the same file mapped.
            let own = "\(folder)/text"
            try FileManager.default.createDirectory(atPath: own, withIntermediateDirectories: true)
            for name in ["vocab.txt", "model.safetensors"] {
                try FileManager.default.copyItem(atPath: "\(textEncoder)/\(name)", toPath: "\(own)/\(name)")
            }
            func isMapped() throws -> Bool {
                // Its size is said to be 0, and it is longer than one read gives.
                let maps = try #require(FileHandle(forReadingAtPath: "/proc/self/maps"))
                let text = String(decoding: try maps.readToEnd() ?? Data(), as: UTF8.self)
                return text.contains("\(own)/model.safetensors")
            }
            var encoder: TextEncoder? = try TextEncoder(directory: own)
            #expect(try encoder?.embed(["dog"]).rowCount == 1)
            // Its last use would end its life.
            let isMappedInUse = try withExtendedLifetime(encoder) { try isMapped() }
            #expect(isMappedInUse)
            encoder = nil
            #expect(try !isMapped())
            let embedder = LabelEmbedder(model: model, textEncoderDirectory: own, cacheDirectory: nil)
            #expect(try embedder.embeddings(for: prompts).rowCount == 4)
            #expect(try !isMapped())
        }
    }

    @Test func impossibleTokenCount() throws {
        guard let textEncoder = installedTextEncoder() else { return }
        try withTemporaryDirectory { folder in
            _ = try TextModelFixture().write(to: folder)
            let path = "\(folder)/config.json"
            let text = try String(contentsOfFile: path, encoding: .utf8)
            try write(Array(text.replacingOccurrences(of: "256}}", with: "1000}}").utf8), to: path)
            let embedder = LabelEmbedder(
                model: try ModelDirectory(path: folder), textEncoderDirectory: textEncoder, cacheDirectory: nil)
            #expect { try embedder.embeddings(for: ["dog"]) } throws: {
                "\($0)" == "\(path): text.maximum_tokens: is 1000, not within 2...512"
            }
        }
    }
}
