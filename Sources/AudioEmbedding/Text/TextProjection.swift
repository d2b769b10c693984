package import TensorKernels

/// Takes sentence embeddings to the space in which windows and prompts are compared.
///
/// Two heads read a sentence embedding e: one names AudioSet tags, q = softmax(MLP(e)), the other gives a joint vector,
/// k = MLP(e). With y = (tag_weight · q/|q|, joint_weight · k/|k|) the embedding is L y, L the factor of the metric:
/// Euclidean distance between embeddings is Mahalanobis distance between vectors. A model may then draw it towards sounds
/// of similar names (`SoundRetrieval`).
package struct TextProjection: Sendable {
    /// r, the length of an embedding.
    package let embeddingSize: Int
    private let tags: Perceptron
    private let joint: Perceptron
    /// L, [r x (tagCount + jointSize)].
    private let factor: Matrix
    private let tagWeight: Float
    private let jointWeight: Float
    private let retrieval: SoundRetrieval?

    /// A linear layer, GELU, a linear layer; weights [in x out].
    private struct Perceptron: Sendable {
        let hiddenWeight: Matrix
        let hiddenBias: [Float]
        let outputWeight: Matrix
        let outputBias: [Float]

        init(_ tensors: SafetensorsFile, _ name: String, from inputSize: Int, to outputSize: Int) throws {
            let hiddenShape = try tensors.shape(of: name + ".0.weight")
            // The hidden size is the file's choice; with another rank the check of the shape below fails.
            let hiddenSize = hiddenShape.last ?? 0
            func matrix(_ tensor: String, _ rows: Int, _ columns: Int) throws -> Matrix {
                Matrix(
                    rowCount: rows, columnCount: columns,
                    values: try tensors.floats(name + tensor, shape: [rows, columns]))
            }
            hiddenWeight = try matrix(".0.weight", inputSize, hiddenSize)
            hiddenBias = try tensors.floats(name + ".0.bias", shape: [hiddenSize])
            outputWeight = try matrix(".1.weight", hiddenSize, outputSize)
            outputBias = try tensors.floats(name + ".1.bias", shape: [outputSize])
        }

        /// - Parameter x: [n x in].
        /// - Returns: [n x out].
        func callAsFunction(_ x: Matrix) -> Matrix {
            var hidden = matrixMultiply(x, hiddenWeight)
            addBiasThenGELU(&hidden.values, bias: hiddenBias, rows: hidden.rowCount, columns: hidden.columnCount)
            var output = matrixMultiply(hidden, outputWeight)
            addBias(outputBias, to: &output.values, rows: output.rowCount, columns: output.columnCount)
            return output
        }
    }

    /// Reads `text.tags.*`, `text.joint.*`, `metric.factor` and, where the model retrieves, `retrieval.*`.
    ///
    /// - Throws: ``ModelError`` for a missing tensor or another shape.
    package init(_ model: ModelDirectory) throws {
        let sizes = model.configuration.projection
        let inputSize = TextEncoder.embeddingSize
        guard model.configuration.text.embeddingSize == inputSize else {
            throw ModelError(
                path: model.path(of: "config.json"), item: "text.embedding_size",
                problem: "is \(model.configuration.text.embeddingSize) instead of \(inputSize)")
        }
        tags = try Perceptron(model.tensors, "text.tags", from: inputSize, to: sizes.tagCount)
        joint = try Perceptron(model.tensors, "text.joint", from: inputSize, to: sizes.jointSize)
        factor = Matrix(
            rowCount: sizes.embeddingSize, columnCount: sizes.vectorSize,
            values: try model.tensors.floats("metric.factor", shape: [sizes.embeddingSize, sizes.vectorSize]))
        embeddingSize = sizes.embeddingSize
        tagWeight = sizes.tagWeight
        jointWeight = sizes.jointWeight
        retrieval = try SoundRetrieval(model)
    }

    /// - Parameter text: [n x 384], sentence embeddings.
    /// - Returns: [n x r].
    package func project(_ text: Matrix) -> Matrix {
        guard text.rowCount > 0 else { return Matrix(rowCount: 0, columnCount: embeddingSize) }
        let count = text.rowCount
        var q = tags(text)
        let tagCount = q.columnCount
        q.values.withUnsafeMutableBufferPointer { values in
            guard let values = values.baseAddress else { return }
            for row in 0..<count { softmax(values + row * tagCount, count: tagCount) }
            normalizeRows(values, rows: count, columns: tagCount, scale: tagWeight)
        }
        var k = joint(text)
        normalizeRows(&k.values, rows: count, columns: k.columnCount, scale: jointWeight)

        var vectors = Matrix(rowCount: count, columnCount: factor.columnCount)
        for row in 0..<count {
            let start = row * factor.columnCount
            vectors.values.replaceSubrange(start..<start + q.columnCount, with: q.row(row))
            vectors.values.replaceSubrange(start + q.columnCount..<start + factor.columnCount, with: k.row(row))
        }
        var embeddings = matrixMultiply(vectors, factor, transposingB: true)
        retrieval?.add(to: &embeddings, joint: k, length: jointWeight)
        return embeddings
    }
}
