/// Event-based detection scores: an event is found when a reported event of its label has its onset within a collar and
/// its offset within a tolerance.
///
/// Equal to `sed_eval.sound_event.EventBasedMetrics` with `event_matching_type="optimal"` and
/// `empty_system_output_handling="zero_score"`.
/// - seealso: Mesaros, Heittola, Virtanen, Metrics for polyphonic sound event detection, Applied Sciences 6(6), 2016.
package struct EventBasedMetrics: Equatable, Sendable {
    /// Greatest distance of the onsets, in seconds (`t_collar`).
    package let collar: Double
    /// The offsets may differ by this share of the true event's length, where that is more than the collar
    /// (`percentage_of_length`), in [0, 1].
    package let lengthShare: Double

    /// - Parameters:
    ///   - collar: Seconds, > 0; DCASE uses 0.2.
    ///   - lengthShare: In [0, 1].
    package init(collar: Double = 0.2, lengthShare: Double = 0.5) {
        precondition(collar > 0 && collar.isFinite, "collar \(collar) s must be positive")
        precondition((0...1).contains(lengthShare), "share of the length \(lengthShare) must be in 0...1")
        self.collar = collar
        self.lengthShare = lengthShare
    }

    /// Compares two event lists of any number of recordings. The order of the events is without effect.
    package func evaluate(reference: [SoundEvent], estimated: [SoundEvent]) -> DetectionScores {
        let referenceGroups = reference.grouped()
        let estimatedGroups = estimated.grouped()
        var classWise: [String: DetectionCounts] = [:]
        for group in Set(referenceGroups.keys).union(estimatedGroups.keys) {
            let reference = referenceGroups[group] ?? []
            let estimated = estimatedGroups[group] ?? []
            classWise[group.label, default: DetectionCounts()] += DetectionCounts(
                referenceCount: reference.count, estimatedCount: estimated.count,
                truePositiveCount: matchCount(reference, estimated))
        }
        return DetectionScores(classWise: classWise)
    }

    /// Size of the largest set of pairs in which each event of one label and recording occurs at most once.
    private func matchCount(_ reference: [SoundEvent], _ estimated: [SoundEvent]) -> Int {
        let sorted = estimated.sorted { $0.onset < $1.onset }
        let neighbours = reference.map { event in
            // Twice the collar: the exact comparison below decides, whichever way this one is rounded.
            var candidate = sorted.partitioningIndex { $0.onset >= event.onset - 2 * collar }
            var partners: [Int] = []
            while candidate < sorted.count, sorted[candidate].onset <= event.onset + 2 * collar {
                if matches(event, sorted[candidate]) { partners.append(candidate) }
                candidate += 1
            }
            return partners
        }
        return maximumMatchingSize(neighbours: neighbours, rightCount: sorted.count)
    }

    /// Same roundings as sed_eval, so that events exactly on the collar fall to the same side.
    private func matches(_ reference: SoundEvent, _ estimated: SoundEvent) -> Bool {
        abs(reference.onset - estimated.onset) <= collar
            && abs(reference.offset - estimated.offset) <= max(collar, lengthShare * reference.duration)
    }
}

extension Array {
    /// Index of the first element of the second part of an array whose elements are first all outside, then all inside.
    func partitioningIndex(where isInSecondPart: (Element) -> Bool) -> Int {
        var lower = 0
        var upper = count
        while lower < upper {
            let middle = (lower + upper) / 2
            if isInSecondPart(self[middle]) { upper = middle } else { lower = middle + 1 }
        }
        return lower
    }
}
