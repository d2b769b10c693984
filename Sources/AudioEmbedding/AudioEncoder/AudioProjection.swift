package import TensorKernels

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// From a pooled window (mean of its step embeddings) to the embedding that transport compares.
///
/// hidden = hardswish(pooled · Wₕ + bₕ); logits = hidden · Wₜ + bₜ; s = (logits - mean) · scale;
/// j = GELU([pooled, hidden] · W₀ + b₀) · W₁ + b₁; x = [tagWeight · s / |s|, jointWeight · j / |j|]; embedding = L · x.
/// GELU is the exact one (erf). `project` does not allocate.
/// `@unchecked Sendable`: not copyable, so its scratch has one owner.
package struct AudioProjection: ~Copyable, @unchecked Sendable {
    /// Numbers of a pooled window.
    package let pooledSize: Int
    package let tagCount: Int
    /// Numbers of the vector x: tags, then joint part.
    package let vectorSize: Int
    /// r, numbers of an embedding.
    package let embeddingSize: Int
    private let weights: Weights

    /// [pooled, hidden], the joint part's input.
    private let features: AlignedBuffer
    private let logits: AlignedBuffer
    private let jointHidden: AlignedBuffer
    private let vector: AlignedBuffer

    /// - Parameter prefix: Of the names of the hidden layer's and the tags' tensors, which go with an encoder; the joint
    ///   part and the metric are one for all encoders.
    /// - Throws: ``ModelError`` naming the tensor that is missing or has another shape than `config.json` says.
    package init(_ model: ModelDirectory, prefix: String = "") throws {
        self.init(try Weights(model, prefix: prefix))
    }

    /// A projection of its own scratch that shares the weights of another.
    package init(sharing other: borrowing AudioProjection) {
        self.init(other.weights)
    }

    private init(_ weights: Weights) {
        self.weights = weights
        pooledSize = weights.hidden.inputs
        tagCount = weights.tags.outputs
        vectorSize = weights.tags.outputs + weights.joint1.outputs
        embeddingSize = weights.factor.count / vectorSize
        features = AlignedBuffer(count: weights.joint0.inputs)
        logits = AlignedBuffer(count: tagCount)
        jointHidden = AlignedBuffer(count: weights.joint0.outputs)
        vector = AlignedBuffer(count: vectorSize)
    }

    /// - Parameters:
    ///   - pooled: [pooledSize].
    ///   - embedding: [embeddingSize], written.
    package mutating func project(
        _ pooled: UnsafeBufferPointer<Float>, into embedding: UnsafeMutableBufferPointer<Float>
    ) {
        precondition(pooled.count == pooledSize, "\(pooled.count) pooled numbers instead of \(pooledSize)")
        precondition(embedding.count == embeddingSize, "room for \(embedding.count) numbers, not \(embeddingSize)")
        guard let input = pooled.baseAddress, let output = embedding.baseAddress else { return }
        features.pointer.update(from: input, count: pooledSize)
        let hiddenFeatures = features.pointer + pooledSize
        weights.hidden.apply(input, into: hiddenFeatures, rows: 1, activation: .hardswish)
        weights.tags.apply(hiddenFeatures, into: logits.pointer, rows: 1, activation: .none)
        for tag in 0..<tagCount {
            vector.pointer[tag] = (logits.pointer[tag] - weights.tagMean.pointer[tag]) * weights.tagScale.pointer[tag]
        }
        weights.joint0.apply(features.pointer, into: jointHidden.pointer, rows: 1, activation: .none)
        gelu(jointHidden.pointer, count: jointHidden.count)
        let joint = vector.pointer + tagCount
        weights.joint1.apply(jointHidden.pointer, into: joint, rows: 1, activation: .none)
        normalize(vector.pointer, count: tagCount, length: weights.tagWeight)
        normalize(joint, count: vectorSize - tagCount, length: weights.jointWeight)
        matrixMultiply(
            vector.pointer, weights.factor.pointer, into: output, rows: 1, columns: embeddingSize, inner: vectorSize)
    }

    /// Embeddings of several pooled windows.
    ///
    /// - Parameter pooled: [n x pooledSize].
    /// - Returns: [n x embeddingSize].
    package mutating func project(_ pooled: Matrix) -> Matrix {
        precondition(pooled.columnCount == pooledSize, "\(pooled.columnCount) pooled numbers instead of \(pooledSize)")
        var embeddings = Matrix(rowCount: pooled.rowCount, columnCount: embeddingSize)
        pooled.values.withUnsafeBufferPointer { input in
            embeddings.values.withUnsafeMutableBufferPointer { output in
                for row in 0..<pooled.rowCount {
                    project(
                        UnsafeBufferPointer(rebasing: input[row * pooledSize..<(row + 1) * pooledSize]),
                        into: UnsafeMutableBufferPointer(
                            rebasing: output[row * embeddingSize..<(row + 1) * embeddingSize]))
                }
            }
        }
        return embeddings
    }

    /// Logits of the last projected window over the teacher's classes, [tagCount]; valid until the next `project`.
    package var tagLogits: UnsafeBufferPointer<Float> {
        UnsafeBufferPointer(start: logits.pointer, count: tagCount)
    }

    /// The vector x of the last projected window, [vectorSize]; valid until the next `project`.
    package var lastVector: UnsafeBufferPointer<Float> {
        UnsafeBufferPointer(start: vector.pointer, count: vectorSize)
    }
}

extension AudioProjection {
    /// What the model file holds, read and checked before any scratch exists.
    private struct Weights: Sendable {
        let tagWeight: Float
        let jointWeight: Float
        let hidden: Linear
        let tags: Linear
        let joint0: Linear
        let joint1: Linear
        let tagMean: AlignedBuffer
        let tagScale: AlignedBuffer
        /// Lᵀ, [vectorSize x embeddingSize], so that all products read their weights in order.
        let factor: AlignedBuffer

        init(_ model: ModelDirectory, prefix: String) throws {
            let sizes = model.configuration.projection
            let tensors = model.tensors
            let pooledSize = model.configuration.encoder.embeddingSize
            tagWeight = sizes.tagWeight
            jointWeight = sizes.jointWeight
            hidden = try Linear(tensors, name: prefix + "hidden", inputs: pooledSize, outputs: sizes.hiddenSize)
            tags = try Linear(tensors, name: prefix + "tags", inputs: sizes.hiddenSize, outputs: sizes.tagCount)
            tagMean = AlignedBuffer(try tensors.floats(prefix + "tags.mean", shape: [sizes.tagCount]))
            tagScale = AlignedBuffer(try tensors.floats(prefix + "tags.scale", shape: [sizes.tagCount]))
            // The file alone knows the joint part's hidden size.
            let inner = try tensors.shape(of: "audio.joint.0.bias").last ?? 0
            joint0 = try Linear(tensors, name: "audio.joint.0", inputs: pooledSize + sizes.hiddenSize, outputs: inner)
            joint1 = try Linear(tensors, name: "audio.joint.1", inputs: inner, outputs: sizes.jointSize)
            let rows = try tensors.floats("metric.factor", shape: [sizes.embeddingSize, sizes.vectorSize])
            factor = AlignedBuffer(count: rows.count)
            for row in 0..<sizes.embeddingSize {
                for column in 0..<sizes.vectorSize {
                    factor.pointer[column * sizes.embeddingSize + row] = rows[row * sizes.vectorSize + column]
                }
            }
        }
    }
}

/// x ← x · Φ(x), with the normal distribution's Φ, as `torch.nn.GELU()`.
private func gelu(_ values: UnsafeMutablePointer<Float>, count: Int) {
    let scale = Float(0.5).squareRoot()
    for i in 0..<count { values[i] *= 0.5 * (1 + erff(values[i] * scale)) }
}

/// Scales a vector to the given length; a vector of (nearly) no length stays as it is, as in
/// `torch.nn.functional.normalize`.
private func normalize(_ values: UnsafeMutablePointer<Float>, count: Int, length: Float) {
    var square: Float = 0
    for i in 0..<count { square += values[i] * values[i] }
    let scale = length / max(square.squareRoot(), 1e-12)
    for i in 0..<count { values[i] *= scale }
}
