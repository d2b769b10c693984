import CALSA
import Glibc

/// A wake-up from one thread to another through an eventfd: a signal sent before the wait is not lost, and neither side
/// takes a lock.
final class WakeUp: Sendable {
    let descriptor: Int32

    init() throws {
        descriptor = earshot_eventfd()
        if descriptor < 0 {
            throw AudioCaptureError(.device, "cannot create an eventfd: \(errorText(errno))")
        }
    }

    deinit { close(descriptor) }

    func signal() {
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
    }

    /// Waits until signalled or `deadline` (of ``monotonicNanoseconds()``) passes, and takes all signals so far.
    /// - Returns: `false` when the deadline passed.
    func wait(until deadline: Int64) -> Bool {
        waitForAny(descriptor: -1, until: deadline) != .timedOut
    }

    enum Outcome { case signalled, readable, timedOut }

    /// Waits as ``wait(until:)`` does, or until another descriptor can be read (or has failed); -1 means none.
    func waitForAny(descriptor other: Int32, until deadline: Int64) -> Outcome {
        var polled = (
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: other, events: Int16(POLLIN), revents: 0)
        )
        while true {
            let remaining = max(0, deadline == .max ? 3_600_000_000_000 : deadline - monotonicNanoseconds())
            // Rounded up: to wake early would be to wake twice.
            let milliseconds = Int32((remaining + 999_999) / 1_000_000)
            let ready = withUnsafeMutablePointer(to: &polled) { pair in
                pair.withMemoryRebound(to: pollfd.self, capacity: 2) { poll($0, 2, milliseconds) }
            }
            if ready > 0 {
                if polled.0.revents != 0 {
                    var count: UInt64 = 0
                    _ = read(descriptor, &count, 8)
                    return .signalled
                }
                return .readable
            }
            if remaining == 0 { return .timedOut }
        }
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC`: for pacing, time limits and measuring.
package func monotonicNanoseconds() -> Int64 { nanoseconds(of: CLOCK_MONOTONIC) }

/// Nanoseconds of `CLOCK_BOOTTIME`, which runs on while the machine sleeps: for how much audio was lost.
func bootNanoseconds() -> Int64 { nanoseconds(of: CLOCK_BOOTTIME) }

private func nanoseconds(of clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// The system's text for an `errno` value.
func errorText(_ code: Int32) -> String {
    var buffer = [CChar](repeating: 0, count: 128)
    strerror_r(code, &buffer, buffer.count)
    return buffer.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
}

extension Duration {
    /// Whole nanoseconds, limited to 24 hours so that sums cannot overflow.
    var boundedNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        if seconds >= 86_400 { return 86_400_000_000_000 }
        return max(0, seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}
