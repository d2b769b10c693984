/// Notices a device that has no clock, such as the `file` plugin on `null`, which delivers as fast as it is read, and
/// gives it one. A real device, whose clock may be a little fast and whose reader may catch up on a full buffer, is left
/// alone.
struct DevicePace {
    let sampleRate: Int
    let bufferLength: Int

    /// Frames ahead of a clock that runs 5 % fast.
    private var lead = 0.0
    private var lastTime: Int64?
    /// Set once the device is known to have no clock: when frame 0 of the count below sounded.
    private var origin: Int64?
    private var framesSinceOrigin = 0

    init(sampleRate: Int, bufferLength: Int) {
        self.sampleRate = sampleRate
        self.bufferLength = bufferLength
    }

    /// - Parameter now: On the monotonic clock.
    /// - Returns: When to read on, or `nil` for at once.
    mutating func due(afterFrames count: Int, now: Int64) -> Int64? {
        if let origin {
            framesSinceOrigin += count
            return origin + Int64(Double(framesSinceOrigin) * 1e9 / Double(sampleRate))
        }
        let elapsed = Double(now - (lastTime ?? now)) * 1e-9
        lastTime = now
        lead = max(0, lead - elapsed * 1.05 * Double(sampleRate)) + Double(count)
        // What a device can have in store is one buffer; a tenth of a second more is lenience.
        guard lead > Double(bufferLength) * 1.05 + 0.1 * Double(sampleRate) else { return nil }
        origin = now
        return nil
    }

    /// After an interruption the count begins anew.
    mutating func restart() {
        lastTime = nil
        lead = 0
        origin = nil
        framesSinceOrigin = 0
    }
}
