package import AudioEmbedding
package import Labels
import OptimalTransport
package import TensorKernels

/// A label set made ready for matching against one model: prompt embeddings, background statistics, bank scores.
///
/// Immutable, so that a reload builds a new one aside and hands it over whole.
package struct CompiledLabels: Sendable {
    /// The labels in the order of the file; the index of a label everywhere below.
    package private(set) var entries: [LabelEntry]
    /// [promptCount x embeddingSize]: metric-space embeddings (L·y), the prompts of one label contiguous.
    package let promptEmbeddings: Matrix
    /// The rows of `promptEmbeddings` that belong to each label.
    package let promptRanges: [Range<Int>]
    /// |L·y|² / 2 of every prompt.
    let promptHalfNorms: [Float]
    /// Median of each label's similarity over the model's background windows.
    package let backgroundMedian: [Float]
    /// 1 / spread of each label's similarity over the model's background windows; see ``spreadQuantile``.
    package let backgroundScale: [Float]
    /// [bankCount x labelCount]: standardised scores of the model's reference bank.
    package let bankScores: Matrix

    package var count: Int { entries.count }
    package var names: [String] { entries.map(\.name) }

    /// For each label its index in another set where it has the same name and prompts, else nil.
    package func indices(in other: CompiledLabels) -> [Int?] {
        let known = Dictionary(other.entries.indices.map { (other.entries[$0].name, $0) }) { first, _ in first }
        return entries.map { entry in
            known[entry.name].flatMap { other.entries[$0].prompts == entry.prompts ? $0 : nil }
        }
    }

    /// Where a normal distribution is one standard deviation above its median. The distance from the median to this quantile
    /// is the spread: recordings of backgrounds hold some of the very sounds that labels name, and these few windows would
    /// decide over a mean and a standard deviation.
    static let spreadQuantile = 0.8413

    /// - Parameters:
    ///   - entries: At least one label; each has at least one prompt.
    ///   - embedder: Gives the prompts' metric-space embeddings, from its cache or the text encoder.
    ///   - bank: The model's reference and background windows.
    /// - Throws: What the embedder throws, when a prompt is in no cache and the text encoder is missing.
    package init(_ entries: [LabelEntry], embedder: LabelEmbedder, bank: ReferenceBank) throws {
        precondition(!entries.isEmpty, "a label set has at least one label")
        self.entries = entries
        var ranges: [Range<Int>] = []
        var prompts: [String] = []
        for entry in entries {
            ranges.append(prompts.count..<prompts.count + entry.prompts.count)
            prompts += entry.prompts
        }
        promptRanges = ranges
        let embeddings = try embedder.embeddings(for: prompts)
        promptEmbeddings = embeddings
        promptHalfNorms = (0..<embeddings.rowCount).map { index in
            embeddings.row(index).reduce(0) { $0 + $1 * $1 } / 2
        }
        let background = Self.similarities(
            of: bank.background, to: promptEmbeddings, halfNorms: promptHalfNorms, ranges: ranges)
        (backgroundMedian, backgroundScale) = Self.statistics(ofColumns: background)
        bankScores = Self.standardised(
            Self.similarities(of: bank.reference, to: promptEmbeddings, halfNorms: promptHalfNorms, ranges: ranges),
            median: backgroundMedian, scale: backgroundScale)
    }

    /// Sets the score, 0 to 1, at which an event of a label begins.
    ///
    /// - Returns: Whether there is such a label.
    package mutating func setThreshold(_ threshold: Float, of label: String) -> Bool {
        guard let index = entries.firstIndex(where: { $0.name == label }) else { return false }
        entries[index].threshold = threshold
        return true
    }

    /// Similarity of every window to every label: −|Lx − Ly|² / 2, the best of a label's prompts.
    ///
    /// - Parameter windows: [windowCount x embeddingSize], metric space.
    /// - Returns: [windowCount x labelCount], ≤ 0 up to rounding.
    package func similarities(of windows: Matrix) -> Matrix {
        Self.similarities(of: windows, to: promptEmbeddings, halfNorms: promptHalfNorms, ranges: promptRanges)
    }

    /// Similarities in units of each label's spread over background, centred on its median there.
    ///
    /// - Parameter windows: [windowCount x embeddingSize], metric space.
    /// - Returns: [windowCount x labelCount]; about 0 ± 1 on background.
    package func standardisedScores(of windows: Matrix) -> Matrix {
        Self.standardised(similarities(of: windows), median: backgroundMedian, scale: backgroundScale)
    }

    private static func standardised(_ similarities: Matrix, median: [Float], scale: [Float]) -> Matrix {
        var scores = similarities
        for row in 0..<scores.rowCount {
            for label in 0..<scores.columnCount {
                scores[row, label] = (scores[row, label] - median[label]) * scale[label]
            }
        }
        return scores
    }

    private static func similarities(
        of windows: Matrix, to prompts: Matrix, halfNorms: [Float], ranges: [Range<Int>]
    ) -> Matrix {
        let products = matrixMultiply(windows, prompts, transposingB: true)
        var result = Matrix(rowCount: windows.rowCount, columnCount: ranges.count)
        for row in 0..<windows.rowCount {
            let halfNorm = windows.row(row).reduce(0) { $0 + $1 * $1 } / 2
            for (label, range) in ranges.enumerated() {
                var best = -Float.infinity
                for prompt in range { best = max(best, products[row, prompt] - halfNorms[prompt]) }
                result[row, label] = best - halfNorm
            }
        }
        return result
    }

    /// Median and reciprocal spread of every column.
    private static func statistics(ofColumns matrix: Matrix) -> (median: [Float], scale: [Float]) {
        var medians = [Float](repeating: 0, count: matrix.columnCount)
        var scales = [Float](repeating: 1, count: matrix.columnCount)
        guard matrix.rowCount > 1 else { return (medians, scales) }
        for column in 0..<matrix.columnCount {
            let sorted = (0..<matrix.rowCount).map { matrix[$0, column] }.sorted()
            medians[column] = quantile(0.5, ofSorted: sorted)
            // A label whose score never moves on background would turn rounding into huge scores.
            scales[column] = 1 / max(quantile(spreadQuantile, ofSorted: sorted) - medians[column], 1e-4)
        }
        return (medians, scales)
    }

    /// Linear interpolation between the two nearest values, as `numpy.quantile`.
    private static func quantile(_ fraction: Double, ofSorted values: [Float]) -> Float {
        let place = fraction * Double(values.count - 1)
        let below = Int(place)
        let above = min(below + 1, values.count - 1)
        return values[below] + Float(place - Double(below)) * (values[above] - values[below])
    }
}
