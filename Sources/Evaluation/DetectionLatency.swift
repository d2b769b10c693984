/// The moment at which a detector said that a sound had begun.
package struct OnsetReport: Hashable, Sendable {
    /// Name of the recording.
    package var filename: String
    package var label: String
    /// Seconds of the recording that had been heard when the report was sent.
    package var emission: Double

    package init(filename: String, label: String, emission: Double) {
        precondition(emission.isFinite, "emission at \(emission) s")
        self.filename = filename
        self.label = label
        self.emission = emission
    }
}

/// Time from the onset of true events to the reports of them.
package struct DetectionLatency: Equatable, Sendable {
    /// Delays in seconds of the events that were reported, ≥ 0; nil where none was.
    package let delay: Spread?
    /// True events with a report.
    package let reportedCount: Int
    /// True events without one.
    package let missedCount: Int

    /// Goes through the true events by onset; each takes the earliest report of its label and recording that no event
    /// before it took, sent between its onset and `grace` after its offset. Earlier reports cannot be of this event: they are
    /// false alarms, which other figures count.
    ///
    /// - Parameters:
    ///   - reports: In any order.
    ///   - truth: In any order.
    ///   - grace: Seconds, ≥ 0: a short sound is reported after its end.
    package init(reports: [OnsetReport], truth: [SoundEvent], grace: Double = 2) {
        precondition(grace >= 0, "grace \(grace) s must not be negative")
        let reportGroups = Dictionary(grouping: reports) { EventGroup(filename: $0.filename, label: $0.label) }
        var delays: [Double] = []
        for (group, events) in truth.grouped() {
            let emissions = (reportGroups[group] ?? []).map(\.emission).sorted()
            var next = 0
            for event in events.sorted(by: { ($0.onset, $0.offset) < ($1.onset, $1.offset) }) {
                while next < emissions.count, emissions[next] < event.onset { next += 1 }
                guard next < emissions.count, emissions[next] <= event.offset + grace else { continue }
                delays.append(emissions[next] - event.onset)
                next += 1
            }
        }
        // Sorted, so that the sum does not depend on the order of a dictionary.
        delay = Spread(delays.sorted())
        reportedCount = delays.count
        missedCount = truth.count - delays.count
    }
}
