package import TensorKernels

#if canImport(Glibc)
    import Glibc
#endif

/// Prompts without a known embedding where no text encoder is installed.
package struct MissingTextEncoderError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The prompts that would need it, at least one.
    package let prompts: [String]
    /// Where it was looked for; nil if nowhere.
    package let directory: String?

    package var description: String {
        let others = prompts.count > 1 ? " and \(prompts.count - 1) more" : ""
        let place = directory.map { " (looked in \($0))" } ?? ""
        return "no embedding of \"\(prompts[0].prefix(120))\"\(others): only the bundled labels work without the text "
            + "encoder\(place); install it with `make text-encoder`"
    }
}

/// Gives the embeddings of label prompts, in the space in which windows are compared with them.
///
/// A prompt's sentence embedding is looked up in the model's bundle (`labels.safetensors`: the prompts of the label
/// files that ship with earshot), then in the cache on disk; only for what is left the text encoder is loaded, and
/// leaves memory after. Both hold what the text encoder gives, so they outlive a retraining of the model's heads.
package struct LabelEmbedder: Sendable {
    private let model: ModelDirectory
    private let textEncoderDirectory: String?
    private let cache: SentenceCache?
    private let log: @Sendable (String) -> Void

    /// Name of the bundle in a model directory.
    package static let bundleName = "labels.safetensors"

    /// - Parameters:
    ///   - textEncoderDirectory: holds `model.safetensors` and `vocab.txt`; need not exist.
    ///   - cacheDirectory: is made when something is to be stored; nil for no cache.
    ///   - log: takes one line about a bundle or cache that could not be used.
    package init(
        model: ModelDirectory, textEncoderDirectory: String?, cacheDirectory: String?,
        log: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.model = model
        self.textEncoderDirectory = textEncoderDirectory
        self.log = log
        cache = cacheDirectory.map { SentenceCache(directory: $0, log: log) }
    }

    /// The embeddings of prompts, repeated prompts allowed.
    ///
    /// - Returns: [prompts.count x r].
    /// - Throws: ``MissingTextEncoderError``, or ``ModelError`` for a damaged model or text encoder.
    package func embeddings(for prompts: [String]) throws -> Matrix {
        // What the cache, the text encoder's scratch and the heads took would otherwise stay with the allocator.
        defer { returnFreeMemory() }
        let sentences = try sentenceEmbeddings(for: prompts)
        return try TextProjection(model).project(sentences)
    }

    /// The sentence embeddings of prompts, before any training of this project.
    ///
    /// - Returns: [prompts.count x 384], rows of unit length, elements rounded to half precision.
    /// - Throws: as ``embeddings(for:)``.
    package func sentenceEmbeddings(for prompts: [String]) throws -> Matrix {
        let stores = try self.stores(for: prompts)
        var values: [Float] = []
        values.reserveCapacity(prompts.count * TextEncoder.embeddingSize)
        for prompt in prompts {
            guard let embedding = stores.lazy.compactMap({ $0.embedding(of: prompt) }).first else {
                preconditionFailure("no embedding of \(prompt)")
            }
            values += embedding
        }
        return Matrix(rowCount: prompts.count, columnCount: TextEncoder.embeddingSize, values: values)
    }

    /// Writes the bundle for a model directory: the sentence embeddings of the prompts of label files.
    ///
    /// - Parameters:
    ///   - prompts: repeated prompts are stored once.
    ///   - path: usually `labels.safetensors` in the model directory.
    /// - Throws: ``MissingTextEncoderError``: the bundle is made by the installed text encoder, not from a cache.
    package func exportBundle(prompts: [String], to path: String) throws {
        try encode(unique(prompts)).write(to: path)
    }

    /// Stores that hold an embedding of every prompt between them.
    private func stores(for prompts: [String]) throws -> [SentenceStore] {
        var stores: [SentenceStore] = []
        func missing() -> [String] {
            unique(prompts).filter { prompt in !stores.contains { $0.embedding(of: prompt) != nil } }
        }
        if let bundle = bundle() { stores.append(bundle) }
        guard !missing().isEmpty else { return stores }
        if let cached = cache?.load(identity: installedIdentity()) { stores.append(cached) }
        let rest = missing()
        guard !rest.isEmpty else { return stores }
        let added = try encode(rest)
        cache?.add(added)
        return stores + [added]
    }

    private func bundle() -> SentenceStore? {
        let path = model.path(of: Self.bundleName)
        guard access(path, F_OK) == 0 else { return nil }
        do {
            return try SentenceStore(path: path)
        } catch {
            log("bundled label embeddings ignored: \(error)")
            return nil
        }
    }

    /// Nil where no usable text encoder is installed: the cache then stands for the one that was.
    private func installedIdentity() -> String? {
        textEncoderDirectory.flatMap { try? TextEncoder.identity(directory: $0) }
    }

    /// Loads the text encoder, embeds, and frees it.
    private func encode(_ sentences: [String]) throws -> SentenceStore {
        guard let directory = textEncoderDirectory, access(directory + "/model.safetensors", F_OK) == 0 else {
            throw MissingTextEncoderError(prompts: sentences, directory: textEncoderDirectory)
        }
        let maximumTokens = model.configuration.text.maximumTokens
        guard TextEncoder.tokenRange.contains(maximumTokens) else {
            throw ModelError(
                path: model.path(of: "config.json"), item: "text.maximum_tokens",
                problem: "is \(maximumTokens), not within \(TextEncoder.tokenRange)")
        }
        let encoder = try TextEncoder(directory: directory, maximumTokens: maximumTokens)
        let embeddings = try encoder.embed(sentences)
        let rounded = SentenceStore.rounded(embeddings.values)
        var store = SentenceStore(identity: encoder.identity)
        for (row, sentence) in sentences.enumerated() {
            let start = row * TextEncoder.embeddingSize
            store.set(sentence, to: rounded[start..<start + TextEncoder.embeddingSize])
        }
        return store
    }

    /// Each prompt once, in order of first mention.
    private func unique(_ prompts: [String]) -> [String] {
        var seen: Set<String> = []
        return prompts.filter { seen.insert($0).inserted }
    }
}

/// Gives freed heap pages back to the system, where the C library keeps them otherwise.
private func returnFreeMemory() {
    #if canImport(Glibc)
        // glibc's module map leaves <malloc.h> out.
        typealias MallocTrim = @convention(c) (_ keptBytes: Int) -> Int32
        guard let symbol = dlsym(nil, "malloc_trim") else { return }
        _ = unsafeBitCast(symbol, to: MallocTrim.self)(0)
    #endif
}
