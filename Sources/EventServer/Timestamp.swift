#if canImport(Glibc)
    import Glibc
#endif

/// A point of UTC with millisecond resolution, as it is written to clients.
///
/// Inside earshot time is counted in samples; UTC appears only in output. Leap seconds are not counted (POSIX time).
package struct Timestamp: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    package var millisecondsSinceEpoch: Int64

    package init(millisecondsSinceEpoch: Int64) {
        self.millisecondsSinceEpoch = millisecondsSinceEpoch
    }

    /// - Parameter secondsSinceEpoch: Finite, within years 0 to 9999; the nearest millisecond is taken.
    package init(secondsSinceEpoch: Double) {
        let limited = min(max(secondsSinceEpoch, -62_167_219_200), 253_402_300_799.999)
        millisecondsSinceEpoch = limited.isNaN ? 0 : Int64((limited * 1000).rounded())
    }

    /// The system's UTC clock.
    package static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(millisecondsSinceEpoch: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }

    package func advanced(bySeconds seconds: Double) -> Timestamp {
        Timestamp(millisecondsSinceEpoch: millisecondsSinceEpoch + Int64((seconds * 1000).rounded()))
    }

    package static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.millisecondsSinceEpoch < right.millisecondsSinceEpoch
    }

    /// ISO 8601 in UTC with milliseconds, `2026-11-21T09:30:00.250Z`.
    package var description: String {
        String(decoding: digits, as: UTF8.self)
    }

    /// The ASCII of `description`, 24 bytes for years 0 to 9999.
    var digits: [UInt8] {
        let days = millisecondsSinceEpoch.floorDivided(by: 86_400_000)
        let millisecondOfDay = Int(millisecondsSinceEpoch - days * 86_400_000)
        let (year, month, day) = Timestamp.civilDate(daysSinceEpoch: Int(days))
        var text: [UInt8] = []
        text.reserveCapacity(24)
        func append(_ value: Int, width: Int) {
            var divisor = 1
            for _ in 1..<width { divisor *= 10 }
            while divisor > 0 {
                text.append(UInt8(ascii: "0") + UInt8((value / divisor) % 10))
                divisor /= 10
            }
        }
        append(year, width: 4)
        text.append(UInt8(ascii: "-"))
        append(month, width: 2)
        text.append(UInt8(ascii: "-"))
        append(day, width: 2)
        text.append(UInt8(ascii: "T"))
        append(millisecondOfDay / 3_600_000, width: 2)
        text.append(UInt8(ascii: ":"))
        append(millisecondOfDay / 60_000 % 60, width: 2)
        text.append(UInt8(ascii: ":"))
        append(millisecondOfDay / 1000 % 60, width: 2)
        text.append(UInt8(ascii: "."))
        append(millisecondOfDay % 1000, width: 3)
        text.append(UInt8(ascii: "Z"))
        return text
    }

    /// Year, month and day of the proleptic Gregorian calendar, by counting 400-year eras that begin on 1 March
    /// (so that the leap day is the last of its year).
    static func civilDate(daysSinceEpoch: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = daysSinceEpoch + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}

extension Int64 {
    /// The quotient rounded towards negative infinity.
    fileprivate func floorDivided(by divisor: Int64) -> Int64 {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}
