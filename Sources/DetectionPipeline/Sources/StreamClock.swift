import Glibc

/// What the system's clocks say at one moment.
package struct ClockReading: Sendable, Equatable {
    /// Seconds since the machine was started, those included in which it slept (`CLOCK_BOOTTIME`). Never steps.
    package var elapsed: Double
    /// Seconds since 1970, UTC (`CLOCK_REALTIME`). Steps when it is set.
    package var utc: Double

    package init(elapsed: Double, utc: Double) {
        self.elapsed = elapsed
        self.utc = utc
    }

    package static func now() -> ClockReading {
        ClockReading(elapsed: seconds(CLOCK_BOOTTIME), utc: seconds(CLOCK_REALTIME))
    }

    private static func seconds(_ clock: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}

/// Gives the UTC of a stream's samples.
///
/// Audio cannot come before it has sounded, but late: the earliest arrivals of the last seconds tell where on the boot
/// clock the stream began. That follows the drift of the device's clock and is not moved by a busy machine. UTC is read
/// off the boot clock anew each time, so that a step of it holds at once for all samples, those before it included.
package struct StreamClock: Sendable {
    /// Seconds of stream in which the earliest arrival is looked for.
    private static let windowLength = 5.0
    /// Seconds by which the origin may be off before it moves: all lines of an event are to name the same onset.
    private static let tolerance = 0.1

    private let isPaced: Bool
    /// Where position 0 lies on the boot clock, by the earliest arrivals of this window and the one before.
    private var current = Double.infinity
    private var previous = Double.infinity
    private var windowEnd = -Double.infinity
    /// UTC of position 0, in seconds since 1970.
    package private(set) var zero = 0.0

    /// - Parameter isPaced: Whether audio comes at the pace at which it sounds. A file that is read as fast as possible
    ///   sounds "now" all the time.
    package init(isPaced: Bool) {
        self.isPaced = isPaced
    }

    /// Takes the newest arrival.
    ///
    /// - Parameter position: Seconds of the stream that have come so far, lost audio included.
    package mutating func observe(_ position: Double, at now: ClockReading) {
        let origin = now.elapsed - position
        if isPaced {
            if now.elapsed >= windowEnd {
                previous = current
                current = .infinity
                windowEnd = now.elapsed + Self.windowLength
            }
            current = min(current, origin)
        } else {
            (current, previous) = (origin, origin)
        }
        let candidate = min(current, previous) + now.utc - now.elapsed
        if abs(candidate - zero) > Self.tolerance { zero = candidate }
    }

    /// The source was opened again: where its positions lie is to be found anew.
    package mutating func restart() {
        (current, previous, windowEnd) = (.infinity, .infinity, -.infinity)
    }
}
