import DetectionPipeline
import EventMessages
import EventServer
import Synchronization

/// Labels of which no events are published for a time.
///
/// An event that was published before is followed to its offset; one that begins while its label is muted is not
/// published at all, even if it outlasts the mute.
final class Mutes: Sendable {
    private struct Entry {
        var pattern: String
        var glob: Glob
        var end: ContinuousClock.Instant
        /// Events not published because of it.
        var withheld = 0
    }

    private struct EventKey: Hashable {
        var source: String
        var number: UInt64
    }

    private struct State {
        var entries: [Entry] = []
        /// Events that have begun, unpublished, and not ended.
        var withheld: Set<EventKey> = []
    }

    /// More would be a program gone wrong.
    static let maximumCount = 100

    private let state = Mutex(State())

    /// Mutes the labels that match for so long from now; the same pattern again sets its end anew.
    ///
    /// - Throws: `ControlFailure` where there are too many.
    func mute(_ pattern: String, seconds: Double, now: ContinuousClock.Instant = .now) throws {
        let entry = Entry(pattern: pattern, glob: Glob(pattern), end: now + .seconds(seconds))
        try state.withLock { state in
            state.entries.removeAll { $0.pattern == pattern || $0.end <= now }
            guard state.entries.count < Self.maximumCount else {
                throw ControlFailure("there are \(Self.maximumCount) mutes already; end some with unmute")
            }
            state.entries.append(entry)
        }
    }

    /// Ends the mute of that pattern, or all of them for nil.
    ///
    /// - Returns: How many mutes ended.
    func unmute(_ pattern: String?, now: ContinuousClock.Instant = .now) -> Int {
        state.withLock { state in
            let before = state.entries.count(where: { $0.end > now })
            state.entries.removeAll { pattern == nil || $0.pattern == pattern || $0.end <= now }
            return before - state.entries.count
        }
    }

    /// Whether a report is published. To be asked once for each report, in order; takes a lock for events only.
    func admits(_ report: SourceReport, now: ContinuousClock.Instant = .now) -> Bool {
        guard case .event(let event) = report.content else { return true }
        let key = EventKey(source: report.source, number: event.number)
        return state.withLock { state in
            switch event.kind {
            case .onset:
                state.entries.removeAll { $0.end <= now }
                guard let index = state.entries.firstIndex(where: { $0.glob.matches(event.label) }) else { return true }
                state.entries[index].withheld += 1
                state.withheld.insert(key)
                return false
            case .update:
                return !state.withheld.contains(key)
                    && !state.entries.contains { $0.end > now && $0.glob.matches(event.label) }
            case .offset:
                return state.withheld.remove(key) == nil
            }
        }
    }

    /// The mutes in force, for `status`.
    func status(now: ContinuousClock.Instant = .now) -> JSONValue {
        state.withLock { state in
            .array(
                state.entries.filter { $0.end > now }.map { entry in
                    [
                        "labels": .string(entry.pattern),
                        "seconds": .decimal((entry.end - now) / .seconds(1), places: 1),
                        "withheld": .integer(entry.withheld),
                    ]
                })
        }
    }
}
