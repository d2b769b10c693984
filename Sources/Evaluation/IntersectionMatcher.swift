/// Counts true positives, false positives and cross-triggers of one operating point by the intersection criteria of PSDS.
struct IntersectionMatcher {
    private let criteria: PolyphonicDetectionScore
    private let labelIndices: [String: Int]
    /// True events by recording.
    private let truth: [String: [SoundEvent]]
    /// True events of each label.
    private let truthCounts: [Double]
    /// Hours of activity of each label.
    private let activeHours: [Double]
    private let durations: [String: Double]
    /// Hours of all recordings.
    private let hours: Double

    /// - Parameters:
    ///   - criteria: Thresholds and weights.
    ///   - truth: Events longer than 0 s, without overlaps within a label.
    ///   - labels: The labels of `truth`, each once; results are in this order.
    ///   - durations: Seconds of every recording.
    init(criteria: PolyphonicDetectionScore, truth: [SoundEvent], labels: [String], durations: [String: Double]) {
        self.criteria = criteria
        self.durations = durations
        self.truth = Dictionary(grouping: truth) { $0.filename }
        labelIndices = Dictionary(uniqueKeysWithValues: labels.enumerated().map { ($1, $0) })
        var counts = [Double](repeating: 0, count: labels.count)
        var seconds = counts
        for event in truth {
            guard let label = labelIndices[event.label] else { preconditionFailure("\(event.label) is not a label") }
            counts[label] += 1
            seconds[label] += event.duration
        }
        truthCounts = counts
        activeHours = seconds.map { $0 / 3600 }
        // In a fixed order: the order of a dictionary would change the last digit from run to run.
        hours = durations.sorted { $0.key < $1.key }.reduce(0) { $0 + $1.value } / 3600
    }

    /// - Parameter detections: Reported events longer than 0 s, without overlaps within a label.
    func evaluate(_ detections: [SoundEvent]) -> PolyphonicDetectionScore.OperatingPoint {
        let labelCount = truthCounts.count
        var truePositives = [Double](repeating: 0, count: labelCount)
        var falsePositives = truePositives
        // crossTriggers[label * labelCount + other]: false reports of `label` that lie in true events of `other`.
        var crossTriggers = [Double](repeating: 0, count: labelCount * labelCount)

        for (filename, detections) in Dictionary(grouping: detections, by: \.filename) {
            let events = truth[filename] ?? []
            var coverage = [Double](repeating: 0, count: events.count)
            var isTouched = [Bool](repeating: false, count: events.count)
            for detection in detections.sorted(by: { $0.onset < $1.onset }) {
                guard let label = labelIndices[detection.label] else { continue }
                // Share of the detection inside true events of each label; nil where it meets none.
                var shares = [Double?](repeating: nil, count: labelCount)
                var overlaps: [(index: Int, seconds: Double)] = []
                for (index, event) in events.enumerated()
                where detection.onset < event.offset && event.onset < detection.offset {
                    let seconds = min(detection.offset, event.offset) - max(detection.onset, event.onset)
                    let other = labelIndices[event.label] ?? label
                    shares[other] = (shares[other] ?? 0) + seconds / detection.duration
                    if other == label { overlaps.append((index, seconds)) }
                }
                if let share = shares[label], share >= criteria.detectionTolerance {
                    for (index, seconds) in overlaps {
                        coverage[index] += seconds / events[index].duration
                        isTouched[index] = true
                    }
                } else {
                    // A report that lies outside its recording is no false positive for psds_eval either.
                    if detection.onset < durations[filename] ?? 0, detection.offset > 0 { falsePositives[label] += 1 }
                    for other in 0..<labelCount where other != label {
                        if let share = shares[other], share >= criteria.crossTriggerTolerance {
                            crossTriggers[label * labelCount + other] += 1
                        }
                    }
                }
            }
            for (index, event) in events.enumerated()
            where isTouched[index] && coverage[index] >= criteria.groundTruthIntersection {
                truePositives[labelIndices[event.label] ?? 0] += 1
            }
        }
        return rates(truePositives, falsePositives, crossTriggers)
    }

    private func rates(_ truePositives: [Double], _ falsePositives: [Double], _ crossTriggers: [Double])
        -> PolyphonicDetectionScore.OperatingPoint
    {
        let labelCount = truthCounts.count
        let falsePositiveRate = falsePositives.map { $0 / hours }
        let effective = (0..<labelCount).map { label in
            // psds_eval divides 0 by 0 where there is one label only; nothing can be confused then.
            guard labelCount > 1 else { return falsePositiveRate[label] }
            let sum = (0..<labelCount).reduce(0.0) { sum, other in
                other == label ? sum : sum + crossTriggers[label * labelCount + other] / activeHours[other]
            }
            return falsePositiveRate[label] + criteria.crossTriggerWeight * sum / Double(labelCount - 1)
        }
        return PolyphonicDetectionScore.OperatingPoint(
            truePositiveRatio: zip(truePositives, truthCounts).map { $0 / $1 },
            falsePositiveRate: falsePositiveRate, effectiveFalsePositiveRate: effective)
    }
}
