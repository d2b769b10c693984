import TensorKernels

/// What sounds of similar names were like: a text's embedding is drawn towards the embeddings of training sounds whose
/// texts are near it.
///
/// The model brings one key and one value for each label of its training recordings: the unit joint vector of the label's
/// texts, and the mean embedding of its sounds, of unit length. With c = (keys · k/|k|) the softmax of c / temperature
/// weighs the values; their mean, made a unit vector and multiplied by `weight`, is added to the embedding. This is
/// attention of a text over sounds with captions (hybrid retrieval of arXiv 2406.15897), of the trainer's
/// `retrieval.py`.
struct SoundRetrieval: Sendable {
    /// [soundCount x jointSize], rows of unit length.
    private let keys: Matrix
    /// [soundCount x r], metric space, rows of unit length.
    private let values: Matrix
    private let settings: ModelConfiguration.RetrievalConfiguration

    /// Reads `retrieval.keys` and `retrieval.values`; nil for a model without retrieval.
    ///
    /// - Throws: ``ModelError`` for a missing tensor or another shape.
    init?(_ model: ModelDirectory) throws {
        let sizes = model.configuration.projection
        guard let settings = sizes.retrieval else { return nil }
        self.settings = settings
        keys = try model.tensors.matrix("retrieval.keys", columnCount: sizes.jointSize)
        values = Matrix(
            rowCount: keys.rowCount, columnCount: sizes.embeddingSize,
            values: try model.tensors.floats("retrieval.values", shape: [keys.rowCount, sizes.embeddingSize]))
        guard keys.rowCount > 0 else {
            throw ModelError(path: model.path(of: "model.safetensors"), item: "retrieval.keys", problem: "has no rows")
        }
    }

    /// - Parameters:
    ///   - embeddings: [n x r], replaced.
    ///   - joint: [n x jointSize], the texts' joint vectors, rows of one length.
    ///   - length: That length, > 0.
    func add(to embeddings: inout Matrix, joint: Matrix, length: Float) {
        var weights = matrixMultiply(joint, keys, transposingB: true)
        let (rows, sounds) = (weights.rowCount, weights.columnCount)
        weights.values.withUnsafeMutableBufferPointer { values in
            guard let values = values.baseAddress else { return }
            for row in 0..<rows {
                softmax(values + row * sounds, count: sounds, scale: 1 / (settings.temperature * length))
            }
        }
        var recalled = matrixMultiply(weights, values)
        normalizeRows(&recalled.values, rows: rows, columns: recalled.columnCount, scale: settings.weight)
        for index in recalled.values.indices { embeddings.values[index] += recalled.values[index] }
    }
}
