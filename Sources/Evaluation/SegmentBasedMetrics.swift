/// Segment-based detection scores: time is cut into segments of equal length, and a label counts as active in each segment
/// that one of its events touches.
///
/// Equal to `sed_eval.sound_event.SegmentBasedMetrics` with zero for empty system output (`zero_score`).
package struct SegmentBasedMetrics: Equatable, Sendable {
    /// Length of a segment in seconds (`time_resolution`).
    package let timeResolution: Double

    /// - Parameter timeResolution: Seconds, > 0; DCASE uses 1.
    package init(timeResolution: Double = 1) {
        precondition(timeResolution > 0 && timeResolution.isFinite, "segment of \(timeResolution) s must be positive")
        self.timeResolution = timeResolution
    }

    /// Compares two event lists of any number of recordings; the counts are segments. The order is without effect.
    package func evaluate(reference: [SoundEvent], estimated: [SoundEvent]) -> DetectionScores {
        let referenceGroups = reference.grouped()
        let estimatedGroups = estimated.grouped()
        var classWise: [String: DetectionCounts] = [:]
        for group in Set(referenceGroups.keys).union(estimatedGroups.keys) {
            let reference = activeSegments(referenceGroups[group] ?? [])
            let estimated = activeSegments(estimatedGroups[group] ?? [])
            classWise[group.label, default: DetectionCounts()] += DetectionCounts(
                referenceCount: reference.reduce(0) { $0 + $1.count },
                estimatedCount: estimated.reduce(0) { $0 + $1.count },
                truePositiveCount: intersectionCount(reference, estimated))
        }
        return DetectionScores(classWise: classWise)
    }

    /// Runs of active segments, ascending and disjoint. Runs rather than segments: the cost does not grow with time.
    private func activeSegments(_ events: [SoundEvent]) -> [Range<Int>] {
        let runs = events.map { event in
            // Int(exactly:) would fail on absurd times; nothing that long is compared segment by segment.
            let first = max(0, (event.onset / timeResolution).rounded(.down))
            let end = max(first, (event.offset / timeResolution).rounded(.up))
            return Int(min(first, 1e15))..<Int(min(end, 1e15))
        }
        var active: [Range<Int>] = []
        for run in runs.sorted(by: { $0.lowerBound < $1.lowerBound }) where !run.isEmpty {
            if let last = active.last, run.lowerBound <= last.upperBound {
                active[active.count - 1] = last.lowerBound..<max(last.upperBound, run.upperBound)
            } else {
                active.append(run)
            }
        }
        return active
    }

    private func intersectionCount(_ left: [Range<Int>], _ right: [Range<Int>]) -> Int {
        var count = 0
        var (i, j) = (0, 0)
        while i < left.count, j < right.count {
            count += left[i].clamped(to: right[j]).count
            if left[i].upperBound < right[j].upperBound { i += 1 } else { j += 1 }
        }
        return count
    }
}
