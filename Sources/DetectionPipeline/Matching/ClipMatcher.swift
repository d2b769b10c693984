import OptimalTransport
package import TensorKernels

/// How clips are matched to labels; results always name it.
package enum MatchMode: String, CaseIterable, Sendable {
    /// Each clip alone: the nearest label under the learned metric.
    case argmax
    /// Each clip alone, with label potentials from the model's reference bank, as the streaming matcher has them.
    case transport
    /// The protocol of m-LTM (arXiv 2405.10084): balanced transport between all given clips and all labels with uniform
    /// marginals. Transductive: a clip's result depends on the other clips.
    case balanced
}

/// Ranks labels for whole clips.
package struct ClipMatcher {
    private let labels: CompiledLabels
    private let bankCost: Matrix
    /// ε of the clip protocols, in units of the cost |Lx − Ly|² / 2.
    private let regularization: Double

    /// - Parameter regularization: ε > 0.
    package init(_ labels: CompiledLabels, bank: ReferenceBank, regularization: Double) {
        self.labels = labels
        self.regularization = regularization
        bankCost = labels.similarities(of: bank.reference).negated
    }

    /// - Parameter windows: [clipCount x embeddingSize], metric space.
    /// - Returns: [clipCount x labelCount], higher is better; the unit depends on the mode (−cost, or ln of a plan's share).
    /// - Throws: `TransportError` where a score is not finite.
    package func scores(of windows: Matrix, mode: MatchMode) throws -> Matrix {
        let similarities = labels.similarities(of: windows)
        switch mode {
        case .argmax:
            return similarities
        case .transport:
            let potentials = try labelPotentials(
                bankCost: bankCost, sinkhorn: Sinkhorn(regularization: regularization)
            ).potentials
            return addingToRows(similarities, potentials)
        case .balanced:
            // ln of the plan up to a constant per row, so that tiny shares keep their order.
            let solution = try Sinkhorn(regularization: regularization).balanced(cost: similarities.negated)
            return addingToRows(similarities, solution.potentials.target.map { Float($0) })
        }
    }

    /// Softmax of each row's scores over ε: what a label gets of the clip, in [0, 1].
    package func shares(ofScores scores: Matrix) -> Matrix {
        var shares = scores
        let labelCount = scores.columnCount
        shares.values.withUnsafeMutableBufferPointer { values in
            guard let base = values.baseAddress else { return }
            for row in 0..<scores.rowCount {
                softmax(base + row * labelCount, count: labelCount, scale: 1 / Float(regularization))
            }
        }
        return shares
    }

    private func addingToRows(_ matrix: Matrix, _ addends: [Float]) -> Matrix {
        var result = matrix
        for row in 0..<matrix.rowCount {
            for column in 0..<matrix.columnCount { result[row, column] += addends[column] }
        }
        return result
    }
}

extension Matrix {
    /// The matrix with every sign changed: similarities as costs.
    var negated: Matrix { Matrix(rowCount: rowCount, columnCount: columnCount, values: values.map { -$0 }) }
}
