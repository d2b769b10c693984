package import OptimalTransport
import TensorKernels

/// Scores one window after another against a label set: similarity, standardisation, streaming transport.
///
/// Owns its scratch; ``match(_:)`` neither allocates nor locks.
package struct LabelMatcher {
    package let labels: CompiledLabels
    private var baseline: ScoreBaseline
    private var transport: OnlineTransport
    private var products: [Float]
    private var costs: [Float]
    /// Standardised scores of the newest window, [labelCount]: in units of each label's spread over background, above
    /// what is usual in this stream.
    package private(set) var standardisedScores: [Float]
    /// The newest window's transported share per label, [labelCount], in [0, 1]; what is missing to 1 went to nothing.
    package private(set) var shares: [Float]
    /// The newest window's share that went to nothing, in [0, 1].
    package private(set) var nothingShare: Float = 1

    /// - Parameters:
    ///   - labels: What to listen for.
    ///   - configuration: The model's transport constants.
    ///   - baseline: What is usual in the stream so far; a new one for each label set.
    ///   - labelWeights: The label marginal b, [labelCount], any positive sum; nil for uniform.
    /// - Throws: `TransportError` for weights or constants that no transport can hold.
    package init(
        _ labels: CompiledLabels, configuration: OnlineTransportConfiguration, baseline: ScoreBaseline,
        labelWeights: [Float]? = nil
    ) throws {
        self.baseline = baseline
        self.labels = labels
        let count = labels.count
        transport = try OnlineTransport(
            configuration: configuration, bankCost: labels.bankScores.negated, labelWeights: labelWeights)
        products = [Float](repeating: 0, count: labels.promptEmbeddings.rowCount)
        costs = [Float](repeating: 0, count: count)
        standardisedScores = [Float](repeating: 0, count: count)
        shares = [Float](repeating: 0, count: count)
    }

    /// Matches the newest window; the results are in ``standardisedScores``, ``shares`` and ``nothingShare``.
    ///
    /// - Parameter embedding: [embeddingSize], metric space.
    package mutating func match(_ embedding: UnsafeBufferPointer<Float>) {
        let size = labels.promptEmbeddings.columnCount
        precondition(embedding.count == size, "an embedding of this model has \(size) values")
        labels.promptEmbeddings.values.withUnsafeBufferPointer { prompts in
            products.withUnsafeMutableBufferPointer { products in
                matrixMultiply(
                    prompts.baseAddress!, embedding.baseAddress!, into: products.baseAddress!,
                    rows: products.count, columns: 1, inner: size)
            }
        }
        var halfNorm: Float = 0
        for value in embedding { halfNorm += value * value }
        halfNorm /= 2
        for label in 0..<labels.count {
            var best = -Float.infinity
            for prompt in labels.promptRanges[label] {
                best = max(best, products[prompt] - labels.promptHalfNorms[prompt])
            }
            let standardised = (best - halfNorm - labels.backgroundMedian[label]) * labels.backgroundScale[label]
            let score = baseline.subtracted(from: standardised, label: label)
            standardisedScores[label] = score
            costs[label] = -score
        }
        nothingShare = costs.withUnsafeBufferPointer { costs in
            shares.withUnsafeMutableBufferPointer { shares in
                transport.step(costs.baseAddress!, into: shares.baseAddress!)
            }
        }
    }

    /// Goes on with what is usual in the stream for the labels that another matcher of it had with the same prompts.
    package mutating func keepBaseline(of other: LabelMatcher) {
        baseline.keep(other.baseline, indices: labels.indices(in: other.labels))
    }

    /// Forgets the recent windows (after lost audio, say); the label set stays, and what is usual in the stream.
    package mutating func reset() {
        transport.reset()
        nothingShare = 1
    }
}
