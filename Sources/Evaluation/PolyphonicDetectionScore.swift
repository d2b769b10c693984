/// Polyphonic sound detection score (PSDS): one figure for a whole family of thresholds, from intersections of events
/// instead of collars.
///
/// Equal to `psds_eval.PSDSEval.psds` 0.5 (with `duration_unit="hour"` and the staircase curve). The score is the area under
/// effective true positive ratio over effective false positives per hour, up to `maximumFalsePositiveRate`, divided by
/// that, in [0, 1]. Only labels of the truth take part: reports of other labels are without effect, so a stream for this
/// score must hold the labels that a detector is to be judged for.
/// - seealso: Bilen et al., A framework for the robust evaluation of sound event detection, <https://arxiv.org/abs/1910.08440>.
package struct PolyphonicDetectionScore: Equatable, Sendable {
    /// `dtc_threshold`: share of a reported event that must lie in true events of its label, in [0, 1].
    package var detectionTolerance: Double
    /// `gtc_threshold`: share of a true event that reported events must cover, in [0, 1].
    package var groundTruthIntersection: Double
    /// `cttc_threshold`: share of a false report in true events of another label that makes it a cross-trigger, in [0, 1].
    package var crossTriggerTolerance: Double
    /// `alpha_ct`: cost of cross-triggers beside other false positives, in [0, 1].
    package var crossTriggerWeight: Double
    /// `alpha_st`: cost of differences between labels, ≥ 0.
    package var instabilityWeight: Double
    /// `max_efpr`: end of the curve, in effective false positives per hour and label, > 0.
    package var maximumFalsePositiveRate: Double

    package init(
        detectionTolerance: Double, groundTruthIntersection: Double, crossTriggerTolerance: Double,
        crossTriggerWeight: Double, instabilityWeight: Double, maximumFalsePositiveRate: Double
    ) {
        for share in [detectionTolerance, groundTruthIntersection, crossTriggerTolerance, crossTriggerWeight] {
            precondition((0...1).contains(share), "\(share) must be in 0...1")
        }
        precondition(instabilityWeight >= 0, "weight of instability \(instabilityWeight) must be ≥ 0")
        precondition(maximumFalsePositiveRate > 0, "false positive rate \(maximumFalsePositiveRate) must be > 0")
        self.detectionTolerance = detectionTolerance
        self.groundTruthIntersection = groundTruthIntersection
        self.crossTriggerTolerance = crossTriggerTolerance
        self.crossTriggerWeight = crossTriggerWeight
        self.instabilityWeight = instabilityWeight
        self.maximumFalsePositiveRate = maximumFalsePositiveRate
    }

    /// DCASE scenario 1 (PSDS1): react fast, so times must be right.
    package static let scenario1 = PolyphonicDetectionScore(
        detectionTolerance: 0.7, groundTruthIntersection: 0.7, crossTriggerTolerance: 0.3, crossTriggerWeight: 0,
        instabilityWeight: 1, maximumFalsePositiveRate: 100)

    /// DCASE scenario 2 (PSDS2): do not confuse labels, times matter little.
    package static let scenario2 = PolyphonicDetectionScore(
        detectionTolerance: 0.1, groundTruthIntersection: 0.1, crossTriggerTolerance: 0.3, crossTriggerWeight: 0.5,
        instabilityWeight: 1, maximumFalsePositiveRate: 100)

    /// What a detector does at one threshold. Arrays are by label, in the order of `Result.labels`.
    package struct OperatingPoint: Equatable, Sendable {
        /// Share of the true events found, in [0, 1].
        package let truePositiveRatio: [Double]
        /// False positives per hour of all recordings.
        package let falsePositiveRate: [Double]
        /// False positives per hour plus the weighted mean rate of cross-triggers per hour of another label's activity.
        package let effectiveFalsePositiveRate: [Double]
    }

    package struct Result: Equatable, Sendable {
        /// The score, in [0, 1].
        package let value: Double
        /// Labels of the truth, sorted.
        package let labels: [String]
        /// One for each given family member.
        package let operatingPoints: [OperatingPoint]
        /// The staircase: effective false positive rates, ascending from 0, and the effective true positive ratio from each
        /// to the next.
        package let curve: [(rate: Double, ratio: Double)]

        package static func == (left: Result, right: Result) -> Bool {
            left.value == right.value && left.labels == right.labels && left.operatingPoints == right.operatingPoints
                && left.curve.elementsEqual(right.curve, by: ==)
        }
    }

    /// - Parameters:
    ///   - operatingPoints: The reported events at each threshold, in any order. Events of one label and recording must not
    ///     overlap. No operating point at all scores 0.
    ///   - truth: True events; those of one label and recording must not overlap (see `joiningOverlaps()`).
    ///   - durations: Length in seconds of every recording, including those without events.
    /// - Throws: `EvaluationError` for overlapping events, events of a recording without duration, a duration that is not
    ///   positive, or a truth without any event longer than 0 s.
    package func evaluate(operatingPoints: [[SoundEvent]], truth: [SoundEvent], durations: [String: Double]) throws
        -> Result
    {
        for (filename, duration) in durations.sorted(by: { $0.key < $1.key }) where !(duration > 0 && duration.isFinite)
        {
            throw EvaluationError("duration \(duration) s of \(filename) is not positive")
        }
        let truth = try checked(truth, durations, "true")
        let labels = Set(truth.map(\.label)).sorted()
        guard !labels.isEmpty else { throw EvaluationError("the truth has no event longer than 0 s") }
        let matcher = IntersectionMatcher(
            criteria: self, truth: truth, labels: labels, durations: durations)
        let points = try operatingPoints.map { matcher.evaluate(try checked($0, durations, "reported")) }
        let curve = self.curve(points, labelCount: labels.count)
        return Result(value: area(curve), labels: labels, operatingPoints: points, curve: curve)
    }

    /// Events longer than 0 s, after the checks that `evaluate` documents.
    private func checked(_ events: [SoundEvent], _ durations: [String: Double], _ kind: String) throws -> [SoundEvent] {
        for (group, events) in events.grouped().sorted(by: {
            ($0.key.filename, $0.key.label) < ($1.key.filename, $1.key.label)
        }) {
            guard durations[group.filename] != nil else {
                throw EvaluationError(
                    "\(kind) event of \(group.label) in \(group.filename), whose duration is not known")
            }
            let sorted = events.sorted { ($0.onset, $0.offset) < ($1.onset, $1.offset) }
            for (event, next) in zip(sorted, sorted.dropFirst()) where next.onset < event.offset {
                throw EvaluationError(
                    "\(kind) events of \(group.label) in \(group.filename) overlap at \(next.onset) s; join them")
            }
        }
        return events.filter { $0.duration > 0 }
    }

    /// Effective true positive ratio over the union of all labels' effective false positive rates.
    private func curve(_ points: [OperatingPoint], labelCount: Int) -> [(rate: Double, ratio: Double)] {
        let rates = Set(points.flatMap(\.effectiveFalsePositiveRate)).union([0]).sorted()
        // Each label's points by rate; its ratio at a rate is the best at this or any lower one.
        let ordered = (0..<labelCount).map { label in
            points.map { (rate: $0.effectiveFalsePositiveRate[label], ratio: $0.truePositiveRatio[label]) }
                .sorted { $0.rate < $1.rate }
        }
        var next = [Int](repeating: 0, count: labelCount)
        var best = [Double](repeating: 0, count: labelCount)
        return rates.map { rate in
            for label in 0..<labelCount {
                while next[label] < ordered[label].count, ordered[label][next[label]].rate <= rate {
                    best[label] = max(best[label], ordered[label][next[label]].ratio)
                    next[label] += 1
                }
            }
            let mean = best.reduce(0, +) / Double(labelCount)
            let variance = best.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(labelCount)
            return (rate, max(0, mean - instabilityWeight * variance.squareRoot()))
        }
    }

    private func area(_ curve: [(rate: Double, ratio: Double)]) -> Double {
        var sum = 0.0
        for (index, step) in curve.enumerated() where step.rate < maximumFalsePositiveRate {
            let end = index + 1 < curve.count ? curve[index + 1].rate : maximumFalsePositiveRate
            sum += step.ratio * (min(end, maximumFalsePositiveRate) - step.rate)
        }
        return sum / maximumFalsePositiveRate
    }
}
