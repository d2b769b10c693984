import DetectionPipeline
import Testing

/// UTC of samples while clocks drift, step and sleep.
@Suite struct StreamClockTests {
    /// A day in 2026.
    private static let utc = 1_795_000_000.0

    /// Takes an arrival every 40 ms: `late(t)` seconds after it has sounded, on a system whose UTC is `utc(t)` at boot
    /// clock `t`.
    ///
    /// - Returns: The error of the zero, in seconds, at the end.
    private func error(
        _ clock: inout StreamClock, from start: Double, for duration: Double, position: (Double) -> Double,
        late: (Double) -> Double = { _ in 0 }, utcOffset: (Double) -> Double = { _ in Self.utc }
    ) -> Double {
        var elapsed = start
        while elapsed < start + duration {
            let arrival = elapsed + late(elapsed)
            clock.observe(position(elapsed), at: ClockReading(elapsed: arrival, utc: arrival + utcOffset(arrival)))
            elapsed += 0.04
        }
        // UTC of the newest sample, by the clock and in truth.
        let newest = elapsed - 0.04
        return clock.zero + position(newest) - (newest + utcOffset(newest))
    }

    @Test func aBusyMachineMovesNothing() {
        var clock = StreamClock(isPaced: true)
        var generator = SystemRandomNumberGenerator()
        let error = error(&clock, from: 1000, for: 60, position: { $0 - 1000 }) { _ in
            Double.random(in: 0...1, using: &generator) < 0.5 ? 0.01 : Double.random(in: 0...0.8, using: &generator)
        }
        #expect(abs(error) < 0.11, "\(error)")
        let zero = clock.zero
        // A single arrival that is two seconds late, as after a pause of the process.
        _ = self.error(&clock, from: 1060, for: 0.04, position: { $0 - 1000 }, late: { _ in 2 })
        #expect(clock.zero == zero)
    }

    /// The device's clock is off by 0.1 %: three and a half seconds in an hour.
    @Test(arguments: [0.999, 1.001]) func followsADriftingDevice(rate: Double) {
        var clock = StreamClock(isPaced: true)
        for minute in 0..<60 {
            let error = error(&clock, from: Double(minute) * 60, for: 60, position: { $0 * rate })
            #expect(abs(error) < 0.12, "minute \(minute): \(error)")
        }
    }

    @Test(arguments: [3600.0, -3600, 0.3, -0.3, 1e7]) func aStepOfUTCHoldsAtOnce(step: Double) {
        var clock = StreamClock(isPaced: true)
        _ = error(&clock, from: 500, for: 30, position: { $0 - 500 })
        let after = error(
            &clock, from: 530, for: 0.04, position: { $0 - 500 }, utcOffset: { _ in Self.utc + step })
        #expect(abs(after) < 0.11, "\(after)")
    }

    /// The boot clock counts the sleep, and the gap that is reported for it moves the position as far.
    @Test func sleepMovesNothing() {
        var clock = StreamClock(isPaced: true)
        _ = error(&clock, from: 0, for: 30, position: { $0 })
        let zero = clock.zero
        let after = error(&clock, from: 30 + 8 * 3600, for: 30, position: { $0 })
        #expect(abs(after) < 0.11 && abs(clock.zero - zero) < 0.11)
    }

    /// Audio was lost and nobody said so: late arrivals become the rule, and the clock believes them after a while.
    @Test func believesALastingDelay() {
        var clock = StreamClock(isPaced: true)
        _ = error(&clock, from: 0, for: 30, position: { $0 })
        let after = error(&clock, from: 33, for: 12, position: { $0 - 3 })
        #expect(abs(after) < 0.11, "\(after)")
    }

    /// A device that was gone for a minute: its positions go on where they were.
    @Test func aReopenedSourceIsPlacedAnew() {
        var clock = StreamClock(isPaced: true)
        _ = error(&clock, from: 0, for: 30, position: { $0 })
        clock.restart()
        let after = error(&clock, from: 90, for: 0.04, position: { $0 - 60 })
        #expect(abs(after) < 0.11, "\(after)")
    }

    /// A file that is read as fast as possible sounds now.
    @Test func unpacedAudioIsNow() {
        var clock = StreamClock(isPaced: false)
        let after = error(&clock, from: 0, for: 10, position: { $0 * 200 })
        #expect(abs(after) < 0.11, "\(after)")
        let paused = error(&clock, from: 3600, for: 0.04, position: { 2000 + $0 - 3600 })
        #expect(abs(paused) < 0.11, "\(paused)")
    }
}
