import FoundationEssentials

/// A point of UTC with millisecond resolution, as it is written to clients.
///
/// Inside earshot time is counted in samples; UTC appears only in output. Leap seconds are not counted (POSIX time).
package struct Timestamp: Sendable, Hashable, CustomStringConvertible {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    package var millisecondsSinceEpoch: Int64

    package init(millisecondsSinceEpoch: Int64) {
        self.millisecondsSinceEpoch = millisecondsSinceEpoch
    }

    /// - Parameter secondsSinceEpoch: The nearest millisecond is taken, of years 0 to 9999.
    package init(secondsSinceEpoch: Double) {
        let limited = min(max(secondsSinceEpoch, -62_167_219_200), 253_402_300_799.999)
        millisecondsSinceEpoch = limited.isNaN ? 0 : Int64((limited * 1000).rounded())
    }

    /// Reads what ``description`` wrote.
    package init?(_ text: String) {
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        guard let date = try? style.parse(text) else { return nil }
        self.init(secondsSinceEpoch: date.timeIntervalSince1970)
    }

    /// The system's UTC clock.
    package static func now() -> Timestamp {
        Timestamp(secondsSinceEpoch: Date().timeIntervalSince1970)
    }

    /// ISO 8601 in UTC with milliseconds, `2026-11-21T09:30:00.250Z`.
    package var description: String {
        // The style cuts off below the millisecond, and a binary fraction may lie just below one.
        let date = Date(timeIntervalSince1970: (Double(millisecondsSinceEpoch) + 0.5) / 1000)
        return date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }
}
