import Testing

@testable import AudioCapture

/// Silent losses, by injected clocks.
@Suite struct LossDetectorTests {
    private struct Loss: Equatable {
        var seconds: Double
        var reason: GapReason
    }

    /// A device read every 10 ms or so. Times in seconds.
    private struct Device {
        var detector = LossDetector(sampleRate: 48_000)
        var boot = 100.0
        var slept = 0.0
        /// Frames that the device has captured and frames that were read.
        var captured = 0.0
        var read = 0
        var losses: [Loss] = []

        /// - Parameters:
        ///   - rate: The device's true rate.
        ///   - isLost: What the device captures meanwhile is dropped.
        mutating func pass(_ seconds: Double, rate: Double = 48_000, isLost: Bool = false, asleep: Bool = false) {
            boot += seconds
            if asleep { slept += seconds }
            if !isLost, !asleep { captured += seconds * rate }
        }

        mutating func readAll(atMost limit: Int = .max) {
            let available = Int(captured) - read
            let count = min(available, limit)
            guard count > 0 else { return }
            read += count
            if let loss = detector.loss(
                afterFrames: count, pending: available - count, boot: Int64(boot * 1e9),
                monotonic: Int64((boot - slept) * 1e9))
            {
                losses.append(Loss(seconds: (Double(loss.frames) / 480).rounded() / 100, reason: loss.reason))
            }
        }

        mutating func run(_ seconds: Double, rate: Double = 48_000) {
            for _ in 0..<Int(seconds * 100) {
                pass(0.01, rate: rate)
                readAll()
            }
        }
    }

    @Test(arguments: [48_000.0, 47_000, 49_000, 48_000 * 1.0001]) func aHealthyDeviceLosesNothing(rate: Double) {
        var device = Device()
        device.run(600, rate: rate)
        #expect(device.losses == [])
    }

    /// Late reads are made up for from the device's buffer.
    @Test func aBusyReaderLosesNothing() {
        var device = Device()
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<500 {
            device.run(0.5)
            device.pass(Double.random(in: 0...1, using: &generator))
            while Int(device.captured) > device.read { device.readAll(atMost: 4096) }
        }
        #expect(device.losses == [])
    }

    @Test func whatAStoppedProcessDidNotFetchIsAnOverrun() {
        var device = Device()
        device.run(10)
        // Two seconds are still in the buffers, the next eight are dropped.
        device.pass(2)
        device.pass(8, isLost: true)
        device.run(10)
        #expect(device.losses == [Loss(seconds: 8, reason: .overrun)])
    }

    @Test func sleepIsASuspendAtOnce() {
        var device = Device()
        device.run(10)
        device.pass(3600, asleep: true)
        device.run(0.05)
        #expect(device.losses == [Loss(seconds: 3600, reason: .suspend)])
        device.run(60)
        #expect(device.losses.count == 1)
    }

    @Test func aToldInterruptionIsNotCountedTwice() {
        var device = Device()
        device.run(10)
        device.pass(30, asleep: true)
        device.detector.restart()
        device.run(20)
        #expect(device.losses == [])
    }
}
