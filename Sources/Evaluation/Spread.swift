/// Middle and tail of a set of measurements.
package struct Spread: Equatable, Sendable {
    package let count: Int
    package let mean: Double
    package let median: Double
    /// 90th percentile.
    package let percentile90: Double

    /// - Parameter values: In any order, without NaN.
    /// - Returns: nil for no values.
    package init?(_ values: [Double]) {
        precondition(!values.contains { $0.isNaN }, "a measurement is NaN")
        guard let mean = Evaluation.mean(values) else { return nil }
        let sorted = values.sorted()
        count = values.count
        self.mean = mean
        median = percentile(50, ofSorted: sorted)
        percentile90 = percentile(90, ofSorted: sorted)
    }
}

/// Percentile with linear interpolation between the two nearest values, as `numpy.percentile`.
///
/// - Parameters:
///   - share: In [0, 100].
///   - sorted: At least one value, ascending.
func percentile(_ share: Double, ofSorted sorted: [Double]) -> Double {
    let position = share / 100 * Double(sorted.count - 1)
    let lower = Int(position)
    let upper = min(lower + 1, sorted.count - 1)
    return sorted[lower] + (position - Double(lower)) * (sorted[upper] - sorted[lower])
}

/// Arithmetic mean, nil for no values.
func mean(_ values: [Double]) -> Double? {
    values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
}
