/// How often a detector reports something on recordings that hold none of the sounds it listens for.
package struct FalseAlarms: Equatable, Sendable {
    package let count: Int
    /// Length of all recordings together, in hours.
    package let hours: Double
    /// Reports of each label that was reported.
    package let countByLabel: [String: Int]

    /// False alarms per hour of recording, all labels together.
    package var perHour: Double { Double(count) / hours }

    /// - Parameters:
    ///   - events: Everything that was reported; each one is false.
    ///   - durations: Length in seconds of every recording, including those without a report.
    /// - Throws: `EvaluationError` for an event of a recording without duration, or recordings without length.
    package init(events: [SoundEvent], durations: [String: Double]) throws {
        for event in events where durations[event.filename] == nil {
            throw EvaluationError("event of \(event.label) in \(event.filename), whose duration is not known")
        }
        let sorted = durations.sorted { $0.key < $1.key }
        for (filename, seconds) in sorted where !(seconds >= 0 && seconds.isFinite) {
            throw EvaluationError("duration \(seconds) s of \(filename) is not a length")
        }
        hours = sorted.reduce(0) { $0 + $1.value } / 3600
        guard hours > 0 else { throw EvaluationError("the background recordings have no length") }
        count = events.count
        countByLabel = Dictionary(grouping: events, by: \.label).mapValues(\.count)
    }
}
