import Synchronization

/// Stops an ``AudioInput`` and shows its counters, from any thread.
package final class CaptureHandle: Sendable {
    /// A snapshot of a source's counters, all since it was opened; frames are at the source's rate.
    package struct Statistics: Sendable, Equatable {
        /// Frames read from the source, dropped ones included.
        package var framesCaptured = 0
        /// Frames dropped because the ring was full.
        package var framesDropped = 0
        /// How often the device's buffer ran over.
        package var overrunCount = 0
        /// Frames lost before they could be read: overruns and suspends.
        package var lostFrames = 0
        /// Float samples that were not usable (NaN, infinite, wild) and were mended.
        package var repairedSamples = 0
        /// Frames in the ring that wait for the consumer: its backlog.
        package var ringFill = 0
        /// How many frames the ring holds.
        package var ringCapacity = 0
        /// The backlog in seconds.
        package var backlogSeconds = 0.0
        /// The device delivers faster than its rate and has no clock of its own: capture paces it.
        package var isPacedByClock = false
    }

    /// The consumer makes the source wait, so that its backlog is no sign of being slow.
    package let isLossless: Bool
    private let stream: CaptureStream
    private let thread: WorkerThread
    private let sampleRate: Int

    init(stream: CaptureStream, thread: WorkerThread, sampleRate: Int) {
        self.stream = stream
        self.thread = thread
        self.sampleRate = sampleRate
        isLossless = stream.isLossless
    }

    /// Turns of the capture thread. It moves at least once per second, and stands still while the thread is stuck, say in
    /// a driver.
    package var progress: Int { stream.turns.load(ordering: .relaxed) }

    /// The capture thread is gone and has closed the source.
    package var hasFinished: Bool { thread.hasFinished }

    package var statistics: Statistics {
        let fill = stream.ring.fill
        return Statistics(
            framesCaptured: stream.framesCaptured.load(ordering: .relaxed),
            framesDropped: stream.framesDropped.load(ordering: .relaxed),
            overrunCount: stream.overrunCount.load(ordering: .relaxed),
            lostFrames: stream.lostFrames.load(ordering: .relaxed),
            repairedSamples: stream.repairedSamples.load(ordering: .relaxed),
            ringFill: fill, ringCapacity: stream.ring.capacity,
            backlogSeconds: Double(fill) / Double(sampleRate),
            isPacedByClock: stream.isPacedByClock.load(ordering: .relaxed))
    }

    /// The backlog of ``statistics`` alone.
    package var backlogSeconds: Double { Double(stream.ring.fill) / Double(sampleRate) }

    /// Tells the capture thread to end, without waiting; the consumer gets what is in the ring and then `.ended`.
    package func requestStop() {
        stream.requestStop()
    }

    /// Ends the capture thread and waits for it.
    /// - Returns: `false` if it is stuck, say in a driver, and had to be left behind after `timeout`.
    @discardableResult
    package func stop(timeout: Duration = .seconds(2)) -> Bool {
        stream.requestStop()
        return thread.join(timeout: timeout)
    }
}
