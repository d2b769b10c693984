package import TensorKernels

/// How well scores rank the one true label of each clip: audio-to-text retrieval with labels as texts.
///
/// Ties count against the system everywhere: a label that scores as high as the true one ranks before it. Equal scores for
/// all labels therefore earn nothing, and the figures do not depend on the order of the labels.
package struct TaggingScores: Equatable, Sendable {
    /// Rank of the true label of each clip, 1 = best.
    package let ranks: [Int]
    /// confusion[truth * labelCount + predicted] = clips, [labelCount x labelCount]; predicted is the label of rank 1.
    package let confusion: [Int]
    package let labelCount: Int

    /// - Parameters:
    ///   - scores: [clipCount x labelCount], higher is better; infinities are allowed.
    ///   - truth: Index of the true label of each clip, [clipCount], each in 0 ..< labelCount.
    /// - Throws: `EvaluationError` for NaN, an index out of range, differing counts or no clips.
    package init(scores: Matrix, truth: [Int]) throws {
        guard scores.rowCount == truth.count else {
            throw EvaluationError("scores of \(scores.rowCount) clips but true labels of \(truth.count)")
        }
        guard !truth.isEmpty else { throw EvaluationError("no clips to evaluate") }
        let labelCount = scores.columnCount
        var ranks: [Int] = []
        var confusion = [Int](repeating: 0, count: labelCount * labelCount)
        for (clip, label) in truth.enumerated() {
            guard (0..<labelCount).contains(label) else {
                throw EvaluationError("true label \(label) of clip \(clip) is not in 0..<\(labelCount)")
            }
            let row = scores.row(clip)
            if let index = row.firstIndex(where: \.isNaN) {
                throw EvaluationError("score of clip \(clip) for label \(index) is not a number")
            }
            let rank = row.reduce(0) { $1 >= row[label] ? $0 + 1 : $0 }
            ranks.append(rank)
            var predicted = label
            if rank > 1 {
                // The best of the others; the first one of several.
                for other in row.indices where other != label && (predicted == label || row[other] > row[predicted]) {
                    predicted = other
                }
            }
            confusion[label * labelCount + predicted] += 1
        }
        self.ranks = ranks
        self.confusion = confusion
        self.labelCount = labelCount
    }

    /// R@k: share of the clips whose true label is among the k best, in [0, 1].
    ///
    /// - Parameter k: ≥ 1.
    package func recall(at k: Int) -> Double {
        precondition(k >= 1, "recall at \(k)")
        return Double(ranks.count { $0 <= k }) / Double(ranks.count)
    }

    /// mAP@k with one relevant label for each clip: mean of 1 / rank, 0 for ranks beyond k, in [0, 1].
    ///
    /// - Parameter k: ≥ 1; the audio-text retrieval literature reports 10.
    package func meanAveragePrecision(at k: Int = 10) -> Double {
        precondition(k >= 1, "average precision at \(k)")
        return ranks.reduce(0.0) { $0 + ($1 <= k ? 1 / Double($1) : 0) } / Double(ranks.count)
    }

    /// R@1 of the clips of each label, [labelCount]; nil for a label without clips.
    package var perClassRecall: [Double?] {
        (0..<labelCount).map { label in
            let row = confusion[label * labelCount..<(label + 1) * labelCount]
            let count = row.reduce(0, +)
            return count == 0 ? nil : Double(confusion[label * labelCount + label]) / Double(count)
        }
    }

    /// The most frequent confusions, most frequent first, then by label index.
    ///
    /// - Parameter count: Greatest number of pairs to return.
    package func topConfusions(_ count: Int) -> [(truth: Int, predicted: Int, clips: Int)] {
        let wrong = confusion.indices.filter { confusion[$0] > 0 && $0 / labelCount != $0 % labelCount }
        return wrong.sorted { (confusion[$1], $0) < (confusion[$0], $1) }.prefix(count)
            .map { ($0 / labelCount, $0 % labelCount, confusion[$0]) }
    }
}
