/// Notices audio that a device has lost without saying so: a machine that slept while the driver kept quiet, or a sound
/// server that dropped what a stopped process did not fetch.
///
/// It compares the frames that came with the time that passed. A reader that is late catches up from the device's
/// buffer, and a device's clock is off by a little; what stays behind for two seconds is lost.
struct LossDetector {
    let sampleRate: Int

    /// The boot clock, less the time of all frames known: how far the device is behind. Nil before the first read.
    private var usualLag: Double?
    private var origin: Int64 = 0
    private var framesSinceOrigin = 0
    private var windowStart: Int64 = 0
    private var windowLag = Double.infinity
    /// How long the machine has slept since it was started: the boot clock less the monotonic one.
    private var slept: Int64 = 0

    private static let windowLength: Int64 = 2_000_000_000
    /// Seconds. Less than this is the device's own business.
    private static let tolerance = 0.25
    private static let shortestSleep: Int64 = 200_000_000

    init(sampleRate: Int) {
        self.sampleRate = sampleRate
    }

    /// - Parameters:
    ///   - count: Frames just read.
    ///   - pending: Frames that the device still holds.
    ///   - boot: `CLOCK_BOOTTIME` in nanoseconds.
    ///   - monotonic: `CLOCK_MONOTONIC` in nanoseconds, which stands still while the machine sleeps.
    /// - Returns: How many frames are missing, and why; nil if none.
    mutating func loss(
        afterFrames count: Int, pending: Int, boot: Int64, monotonic: Int64
    ) -> (frames: Int, reason: GapReason)? {
        if framesSinceOrigin == 0 {
            origin = boot
            windowStart = boot
            slept = boot - monotonic
        }
        framesSinceOrigin += count
        let lag = Double(boot - origin) * 1e-9 - Double(framesSinceOrigin + pending) / Double(sampleRate)
        let sleep = boot - monotonic - slept
        slept = boot - monotonic
        if sleep > Self.shortestSleep, let usualLag, lag - usualLag > Self.tolerance {
            return (lost(lag - usualLag, at: boot), .suspend)
        }
        windowLag = min(windowLag, lag)
        guard boot - windowStart >= Self.windowLength else { return nil }
        let excess = windowLag - (usualLag ?? windowLag)
        if excess > Self.tolerance { return (lost(excess, at: boot), .overrun) }
        usualLag = windowLag
        beginWindow(at: boot)
        return nil
    }

    private mutating func lost(_ seconds: Double, at boot: Int64) -> Int {
        let frames = Int((seconds * Double(sampleRate)).rounded())
        framesSinceOrigin += frames
        beginWindow(at: boot)
        return frames
    }

    private mutating func beginWindow(at boot: Int64) {
        windowStart = boot
        windowLag = .infinity
    }

    /// After an interruption that the device told of, the comparison begins anew.
    mutating func restart() {
        self = LossDetector(sampleRate: sampleRate)
    }
}
