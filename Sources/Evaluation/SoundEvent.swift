/// One sound event of a recording, in the fields of the DCASE event lists.
package struct SoundEvent: Hashable, Sendable {
    /// Name of the recording, the same in truth and estimate.
    package var filename: String
    /// Seconds since the start of the recording.
    package var onset: Double
    /// Seconds since the start of the recording, ≥ `onset`.
    package var offset: Double
    /// `event_label`.
    package var label: String

    /// - Parameters:
    ///   - filename: Name of the recording.
    ///   - onset: Seconds, finite.
    ///   - offset: Seconds, finite, ≥ `onset`.
    ///   - label: Name of the sound.
    package init(filename: String, onset: Double, offset: Double, label: String) {
        precondition(
            onset.isFinite && offset.isFinite && onset <= offset,
            "event of \(label) in \(filename) from \(onset) to \(offset) s is not an interval")
        self.filename = filename
        self.onset = onset
        self.offset = offset
        self.label = label
    }

    /// Length in seconds, ≥ 0.
    package var duration: Double { offset - onset }
}

extension [SoundEvent] {
    /// The same activity with events of one label and recording that meet or overlap joined into one, in the order of
    /// recording, label and onset. What PSDS needs where an annotation lists overlapping events of one label.
    package func joiningOverlaps() -> [SoundEvent] {
        var joined: [SoundEvent] = []
        for event in sorted(by: { ($0.filename, $0.label, $0.onset) < ($1.filename, $1.label, $1.onset) }) {
            if let last = joined.last, last.filename == event.filename, last.label == event.label,
                event.onset <= last.offset
            {
                joined[joined.count - 1].offset = Swift.max(last.offset, event.offset)
            } else {
                joined.append(event)
            }
        }
        return joined
    }

    /// Events by recording and label.
    func grouped() -> [EventGroup: [SoundEvent]] {
        Dictionary(grouping: self) { EventGroup(filename: $0.filename, label: $0.label) }
    }
}

/// What must agree before an estimated event can stand for a true one.
struct EventGroup: Hashable {
    let filename: String
    let label: String
}
