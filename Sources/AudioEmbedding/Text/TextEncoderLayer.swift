import TensorKernels

/// Working memory of the layers, allocated once per batch.
struct TextEncoderScratch {
    /// [tokens x 384] each; `context` is what attention gives.
    var query: [Float]
    var key: [Float]
    var value: [Float]
    var context: [Float]
    /// [tokens x 1536].
    var intermediate: [Float]
    /// One head of one sentence, [longest x 32] each.
    var headQuery: [Float]
    var headKey: [Float]
    var headValue: [Float]
    /// [longest x longest].
    var scores: [Float]

    init(tokenCount: Int, longestSentence: Int, size: Int, intermediateSize: Int, headSize: Int) {
        let tokens = [Float](repeating: 0, count: tokenCount * size)
        let head = [Float](repeating: 0, count: longestSentence * headSize)
        (query, key, value, context) = (tokens, tokens, tokens, tokens)
        intermediate = [Float](repeating: 0, count: tokenCount * intermediateSize)
        (headQuery, headKey, headValue) = (head, head, head)
        scores = [Float](repeating: 0, count: longestSentence * longestSentence)
    }
}

/// One layer of BERT: self-attention and a feed-forward network, each followed by a residual sum and LayerNorm
/// (`transformers.models.bert.modeling_bert.BertLayer`). Weights are [out x in], as PyTorch stores them.
struct TextEncoderLayer: Sendable {
    private let query: Linear
    private let key: Linear
    private let value: Linear
    private let attentionOutput: Linear
    private let attentionNorm: Norm
    private let intermediate: Linear
    private let output: Linear
    private let outputNorm: Norm

    private struct Linear: Sendable {
        /// [out x in].
        let weight: TensorView
        /// [out].
        let bias: TensorView
        let inputSize: Int
        let outputSize: Int

        init(_ file: SafetensorsFile, _ name: String, from inputSize: Int, to outputSize: Int) throws {
            weight = try file.view(name + ".weight", shape: [outputSize, inputSize])
            bias = try file.view(name + ".bias", shape: [outputSize])
            self.inputSize = inputSize
            self.outputSize = outputSize
        }

        /// y = x Wᵀ, without the bias.
        func multiply(_ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, rows: Int) {
            matrixMultiply(
                x, weight.pointer, into: y, rows: rows, columns: outputSize, inner: inputSize, transposingB: true)
        }

        /// y = x Wᵀ + b.
        func apply(_ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, rows: Int) {
            multiply(x, into: y, rows: rows)
            addBias(bias.pointer, to: y, rows: rows, columns: outputSize)
        }
    }

    private struct Norm: Sendable {
        let weight: TensorView
        let bias: TensorView

        init(_ file: SafetensorsFile, _ name: String) throws {
            weight = try file.view(name + ".weight", shape: [TextEncoder.embeddingSize])
            bias = try file.view(name + ".bias", shape: [TextEncoder.embeddingSize])
        }
    }

    /// The one-dimensional tensors of a layer.
    static let vectorNames = [
        "attention.self.query.bias", "attention.self.key.bias", "attention.self.value.bias",
        "attention.output.dense.bias", "attention.output.LayerNorm.weight", "attention.output.LayerNorm.bias",
        "intermediate.dense.bias", "output.dense.bias", "output.LayerNorm.weight", "output.LayerNorm.bias",
    ]

    static func name(_ layer: Int, _ tensor: String) -> String { "encoder.layer.\(layer).\(tensor)" }

    /// - Throws: ``ModelError`` for a missing tensor or another shape.
    init(_ file: SafetensorsFile, index: Int) throws {
        let size = TextEncoder.embeddingSize
        func linear(_ tensor: String, from input: Int = size, to output: Int = size) throws -> Linear {
            try Linear(file, Self.name(index, tensor), from: input, to: output)
        }
        query = try linear("attention.self.query")
        key = try linear("attention.self.key")
        value = try linear("attention.self.value")
        attentionOutput = try linear("attention.output.dense")
        attentionNorm = try Norm(file, Self.name(index, "attention.output.LayerNorm"))
        intermediate = try linear("intermediate.dense", to: TextEncoder.intermediateSize)
        output = try linear("output.dense", from: TextEncoder.intermediateSize)
        outputNorm = try Norm(file, Self.name(index, "output.LayerNorm"))
    }

    /// Replaces the tokens by the layer's output.
    ///
    /// - Parameters:
    ///   - x: [tokens x 384], the sentences one after the other.
    ///   - lengths: tokens of each sentence.
    func apply(to x: UnsafeMutablePointer<Float>, lengths: [Int], scratch: inout TextEncoderScratch) {
        let size = TextEncoder.embeddingSize
        let rows = lengths.reduce(0, +)
        query.apply(x, into: &scratch.query, rows: rows)
        key.apply(x, into: &scratch.key, rows: rows)
        value.apply(x, into: &scratch.value, rows: rows)
        var row = 0
        for length in lengths {
            for head in 0..<TextEncoder.headCount {
                Self.attend(firstRow: row, length: length, head: head, scratch: &scratch)
            }
            row += length
        }
        // `query` is free again: it takes the sum that the norm works on.
        attentionOutput.multiply(scratch.context, into: &scratch.query, rows: rows)
        addThenLayerNormalize(
            &scratch.query, bias: attentionOutput.bias.pointer, residual: x, weight: attentionNorm.weight.pointer,
            offset: attentionNorm.bias.pointer, rows: rows, columns: size, epsilon: TextEncoder.layerNormEpsilon)

        intermediate.multiply(scratch.query, into: &scratch.intermediate, rows: rows)
        addBiasThenGELU(
            &scratch.intermediate, bias: intermediate.bias.pointer, rows: rows, columns: TextEncoder.intermediateSize)
        output.multiply(scratch.intermediate, into: x, rows: rows)
        addThenLayerNormalize(
            x, bias: output.bias.pointer, residual: scratch.query, weight: outputNorm.weight.pointer,
            offset: outputNorm.bias.pointer, rows: rows, columns: size, epsilon: TextEncoder.layerNormEpsilon)
    }

    /// softmax(Q Kᵀ / √32) V of one head within one sentence, written to its place in `scratch.context`.
    private static func attend(firstRow: Int, length: Int, head: Int, scratch: inout TextEncoderScratch) {
        let size = TextEncoder.embeddingSize
        let headSize = size / TextEncoder.headCount
        let offset = firstRow * size + head * headSize
        func gather(_ tokens: UnsafePointer<Float>, into block: UnsafeMutablePointer<Float>) {
            for index in 0..<length {
                (block + index * headSize).update(from: tokens + offset + index * size, count: headSize)
            }
        }
        gather(scratch.query, into: &scratch.headQuery)
        gather(scratch.key, into: &scratch.headKey)
        gather(scratch.value, into: &scratch.headValue)
        matrixMultiply(
            scratch.headQuery, scratch.headKey, into: &scratch.scores, rows: length, columns: length, inner: headSize,
            transposingB: true)
        scratch.scores.withUnsafeMutableBufferPointer { scores in
            guard let scores = scores.baseAddress else { return }
            for index in 0..<length {
                softmax(scores + index * length, count: length, scale: 1 / Float(headSize).squareRoot())
            }
        }
        // The query block is free again: it takes the head's context.
        matrixMultiply(
            scratch.scores, scratch.headValue, into: &scratch.headQuery, rows: length, columns: headSize, inner: length)
        scratch.context.withUnsafeMutableBufferPointer { context in
            scratch.headQuery.withUnsafeBufferPointer { block in
                guard let context = context.baseAddress, let block = block.baseAddress else { return }
                for index in 0..<length {
                    (context + offset + index * size).update(from: block + index * headSize, count: headSize)
                }
            }
        }
    }
}
