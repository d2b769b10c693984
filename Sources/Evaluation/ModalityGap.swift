package import TensorKernels

/// Distance between the centroids of the length-normalised audio and text embeddings, in [0, 2].
///
/// - seealso: Liang et al., Mind the gap, NeurIPS 2022, <https://arxiv.org/abs/2203.02053>.
/// - Parameters:
///   - audio: [clipCount x embeddingSize], at least one row.
///   - text: [textCount x embeddingSize], at least one row.
/// - Throws: `EvaluationError` for differing sizes, no rows, or a row of length zero or without finite length.
package func modalityGap(audio: Matrix, text: Matrix) throws -> Double {
    guard audio.columnCount == text.columnCount else {
        throw EvaluationError(
            "audio embeddings of size \(audio.columnCount) but text embeddings of size \(text.columnCount)")
    }
    let audioCentroid = try centroidOfNormalised(audio, "audio")
    let textCentroid = try centroidOfNormalised(text, "text")
    return zip(audioCentroid, textCentroid).reduce(0.0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
}

private func centroidOfNormalised(_ rows: Matrix, _ kind: String) throws -> [Double] {
    guard rows.rowCount > 0 else { throw EvaluationError("no \(kind) embeddings") }
    var centroid = [Double](repeating: 0, count: rows.columnCount)
    for index in 0..<rows.rowCount {
        let row = rows.row(index).map(Double.init)
        let length = row.reduce(0) { $0 + $1 * $1 }.squareRoot()
        guard length > 0, length.isFinite else {
            throw EvaluationError("\(kind) embedding \(index) has length \(length) and cannot be normalised")
        }
        for column in row.indices { centroid[column] += row[column] / length }
    }
    return centroid.map { $0 / Double(rows.rowCount) }
}
