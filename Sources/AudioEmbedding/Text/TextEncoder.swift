package import TensorKernels

/// The sentence encoder all-MiniLM-L6-v2: a BERT of six layers, mean pooling, unit length.
///
/// Equal to `sentence_transformers.SentenceTransformer("all-MiniLM-L6-v2").encode(_, normalize_embeddings=True)`.
/// The weights stay in the mapped file and leave memory with this object.
package final class TextEncoder: Sendable {
    /// Length of a sentence embedding.
    package static let embeddingSize = 384
    static let intermediateSize = 1536
    static let headCount = 12
    static let layerCount = 6
    static let positionCount = 512
    /// What `maximumTokens` may be: room for `[CLS]` and `[SEP]`, up to the number of positions.
    static let tokenRange = 2...positionCount
    static let layerNormEpsilon: Float = 1e-12

    /// Names the weights: two encoders with the same identity give the same embeddings.
    package let identity: String
    /// Tokens of a sentence that count, `[CLS]` and `[SEP]` included; the rest is cut off.
    package let maximumTokens: Int

    private let tokenizer: WordPieceTokenizer
    private let file: SafetensorsFile
    private let position: TensorView
    private let tokenType: TensorView
    private let embeddingNormWeight: TensorView
    private let embeddingNormBias: TensorView
    private let layers: [TextEncoderLayer]

    /// Tokens that go through the layers at once: enough for large matrix products, few megabytes of scratch.
    private static let batchTokens = 512

    /// - Parameters:
    ///   - directory: holds `model.safetensors` and `vocab.txt` as published for all-MiniLM-L6-v2.
    ///   - maximumTokens: 2 to 512.
    /// - Throws: ``ModelError``, naming the file and tensor.
    package init(directory: String, maximumTokens: Int = 256) throws {
        precondition(Self.tokenRange.contains(maximumTokens), "\(maximumTokens) tokens")
        let tokenizer = try WordPieceTokenizer(vocabularyPath: directory + "/vocab.txt")
        let file = try SafetensorsFile(path: directory + "/model.safetensors")
        let size = Self.embeddingSize
        guard try file.shape(of: Self.wordEmbeddings) == [tokenizer.vocabularySize, size] else {
            throw ModelError(
                path: file.path, item: Self.wordEmbeddings,
                problem: "has shape \(try file.shape(of: Self.wordEmbeddings)) instead of "
                    + "[\(tokenizer.vocabularySize), \(size)], the size of vocab.txt beside it")
        }
        guard !file.contains(TextEncoderLayer.name(Self.layerCount, "attention.self.query.weight")) else {
            throw ModelError(
                path: file.path, problem: "has more than \(Self.layerCount) layers; this is not all-MiniLM-L6-v2")
        }
        position = try file.view(
            "embeddings.position_embeddings.weight", shape: [Self.positionCount, size])
        tokenType = try file.view("embeddings.token_type_embeddings.weight", shape: [2, size])
        embeddingNormWeight = try file.view("embeddings.LayerNorm.weight", shape: [size])
        embeddingNormBias = try file.view("embeddings.LayerNorm.bias", shape: [size])
        layers = try (0..<Self.layerCount).map { try TextEncoderLayer(file, index: $0) }
        identity = try Self.identity(of: file)
        self.tokenizer = tokenizer
        self.file = file
        self.maximumTokens = maximumTokens
    }

    private static let wordEmbeddings = "embeddings.word_embeddings.weight"

    /// The identity of the encoder in a folder, without its vocabulary.
    /// - Throws: ``ModelError`` where there is none.
    package static func identity(directory: String) throws -> String {
        try identity(of: SafetensorsFile(path: directory + "/model.safetensors"))
    }

    /// A hash of the biases and scales, which any other training changes; the whole file would take long to read.
    private static func identity(of file: SafetensorsFile) throws -> String {
        var hash = StableHash()
        var names = ["embeddings.LayerNorm.weight", "embeddings.LayerNorm.bias"]
        for index in 0..<layerCount {
            names += TextEncoderLayer.vectorNames.map { TextEncoderLayer.name(index, $0) }
        }
        for name in names { hash.combine(try file.floats(name, shape: file.shape(of: name))) }
        return "all-MiniLM-L6-v2 \(hash.hexadecimal)"
    }

    /// The embeddings of sentences, each of unit length.
    ///
    /// - Returns: [sentences.count x 384].
    /// - Throws: ``ModelError`` if a weight that took part is not finite.
    package func embed(_ sentences: [String]) throws -> Matrix {
        var embeddings = Matrix(rowCount: sentences.count, columnCount: Self.embeddingSize)
        var first = 0
        while first < sentences.count {
            var batch: [[Int32]] = []
            var tokenCount = 0
            while first + batch.count < sentences.count {
                let ids = tokenizer.encode(sentences[first + batch.count], maximumLength: maximumTokens)
                if !batch.isEmpty, tokenCount + ids.count > Self.batchTokens { break }
                batch.append(ids)
                tokenCount += ids.count
            }
            let pooled = try embed(batch)
            let start = first * Self.embeddingSize
            embeddings.values.replaceSubrange(start..<start + pooled.count, with: pooled)
            first += batch.count
        }
        if let bad = embeddings.values.firstIndex(where: { !$0.isFinite }) {
            throw ModelError(
                path: file.path,
                problem: "gives an embedding that is not finite for "
                    + "\"\(sentences[bad / Self.embeddingSize].prefix(60))\"; a weight is damaged")
        }
        return embeddings
    }

    /// The sentences of one batch lie one after the other, without padding; only attention sees where each ends.
    private func embed(_ batch: [[Int32]]) throws -> [Float] {
        let size = Self.embeddingSize
        let lengths = batch.map(\.count)
        var hidden = try file.rows(batch.joined().map(Int.init), of: Self.wordEmbeddings, columnCount: size)
        var scratch = TextEncoderScratch(
            tokenCount: hidden.rowCount, longestSentence: lengths.max() ?? 0, size: size,
            intermediateSize: Self.intermediateSize, headSize: size / Self.headCount)
        var pooled = [Float](repeating: 0, count: batch.count * size)
        hidden.values.withUnsafeMutableBufferPointer { hidden in
            guard let x = hidden.baseAddress else { return }
            addPositions(x, lengths: lengths)
            for layer in layers { layer.apply(to: x, lengths: lengths, scratch: &scratch) }
            pooled.withUnsafeMutableBufferPointer { pooled in
                guard let mean = pooled.baseAddress else { return }
                Self.pool(x, lengths: lengths, into: mean)
            }
        }
        return pooled
    }

    /// - Parameter x: [tokens x 384], the word embeddings, replaced by the input of the first layer.
    private func addPositions(_ x: UnsafeMutablePointer<Float>, lengths: [Int]) {
        let size = Self.embeddingSize
        var row = 0
        for length in lengths {
            for index in 0..<length {
                add(position.pointer + index * size, to: x + (row + index) * size, count: size)
            }
            row += length
        }
        addThenLayerNormalize(
            x, bias: tokenType.pointer, residual: nil, weight: embeddingNormWeight.pointer,
            offset: embeddingNormBias.pointer, rows: row, columns: size, epsilon: Self.layerNormEpsilon)
    }

    /// The mean over each sentence's tokens, at unit length.
    ///
    /// - Parameters:
    ///   - x: [tokens x 384].
    ///   - mean: [lengths.count x 384], zeros before.
    private static func pool(
        _ x: UnsafePointer<Float>, lengths: [Int], into mean: UnsafeMutablePointer<Float>
    ) {
        var row = 0
        for (sentence, length) in lengths.enumerated() {
            for index in 0..<length {
                add(x + (row + index) * embeddingSize, to: mean + sentence * embeddingSize, count: embeddingSize)
            }
            row += length
        }
        // The mean's division by the length cancels in the unit length.
        normalizeRows(mean, rows: lengths.count, columns: embeddingSize)
    }
}
