/// Counts of true, reported and rightly reported events (or segments), and the ratios that follow from them.
package struct DetectionCounts: Equatable, Sendable {
    /// Events of the truth (`Nref`).
    package var referenceCount: Int
    /// Events of the system (`Nsys`).
    package var estimatedCount: Int
    /// Pairs of both (`Ntp`), at most as many as either.
    package var truePositiveCount: Int

    package init(referenceCount: Int = 0, estimatedCount: Int = 0, truePositiveCount: Int = 0) {
        self.referenceCount = referenceCount
        self.estimatedCount = estimatedCount
        self.truePositiveCount = truePositiveCount
    }

    /// Reported events that no true event stands for.
    package var falsePositiveCount: Int { estimatedCount - truePositiveCount }
    /// True events that no reported event stands for.
    package var falseNegativeCount: Int { referenceCount - truePositiveCount }

    /// Share of the reported events that are right, in [0, 1]; 0 where nothing was reported (`zero_score` of sed_eval).
    package var precision: Double {
        estimatedCount == 0 ? 0 : Double(truePositiveCount) / Double(estimatedCount)
    }

    /// Share of the true events that were reported, in [0, 1]; nil where the truth has none.
    package var recall: Double? {
        referenceCount == 0 ? nil : Double(truePositiveCount) / Double(referenceCount)
    }

    /// Harmonic mean of precision and recall, in [0, 1]; nil where the truth has no event.
    package var f1: Double? {
        guard let recall else { return nil }
        guard truePositiveCount > 0 else { return 0 }
        return 2 * precision * recall / (precision + recall)
    }

    static func += (sum: inout DetectionCounts, other: DetectionCounts) {
        sum.referenceCount += other.referenceCount
        sum.estimatedCount += other.estimatedCount
        sum.truePositiveCount += other.truePositiveCount
    }
}

/// What sed_eval reports for a set of recordings: the overall (micro) figures, and those of each label.
package struct DetectionScores: Equatable, Sendable {
    /// Counts over all labels; `overall.f1` is the micro average.
    package let overall: DetectionCounts
    /// Counts of each label that the truth or the estimate names.
    package let classWise: [String: DetectionCounts]

    init(classWise: [String: DetectionCounts]) {
        self.classWise = classWise
        overall = classWise.values.reduce(into: DetectionCounts()) { $0 += $1 }
    }

    /// Macro F1: mean over the labels that occur in the truth, nil where none does. A label of the truth that was never
    /// reported counts 0; a label that is only reported does not count here, as in sed_eval, but does in `overall`.
    package var macroF1: Double? { mean(labels.compactMap { classWise[$0]?.f1 }) }

    /// Macro precision: mean over all labels that the truth or the estimate names, nil where none is named.
    package var macroPrecision: Double? { mean(labels.compactMap { classWise[$0]?.precision }) }

    /// Macro recall: mean over the labels that occur in the truth, nil where none does.
    package var macroRecall: Double? { mean(labels.compactMap { classWise[$0]?.recall }) }

    /// Labels in sorted order, so that sums do not depend on the order of a dictionary.
    package var labels: [String] { classWise.keys.sorted() }
}
