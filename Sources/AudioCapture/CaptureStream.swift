import Synchronization

/// What a capture thread and its consumer share: the ring, the wake-ups and the counters.
final class CaptureStream: Sendable {
    enum Completion: UInt8, AtomicRepresentable { case running, ended, failed }

    let ring: SampleRing
    /// From producer to consumer: something has come.
    let arrival: WakeUp
    /// To the producer: there is space, or it is to stop.
    let attention: WakeUp
    /// Whether the producer waits for space (files, standard input) instead of dropping.
    let isLossless: Bool

    /// Turns of the producer's loop, which moves at least once per second while it is not stuck.
    let turns = Atomic<Int>(0)
    let framesCaptured = Atomic<Int>(0)
    let framesDropped = Atomic<Int>(0)
    let lostFrames = Atomic<Int>(0)
    let overrunCount = Atomic<Int>(0)
    let repairedSamples = Atomic<Int>(0)
    /// Set when a device delivers faster than its rate, so that capture paces it by the system's clock.
    let isPacedByClock = Atomic<Bool>(false)

    private let stopRequested = Atomic<Bool>(false)
    private let completion = Atomic<Completion>(.running)
    private let failure = Mutex<AudioCaptureError?>(nil)

    init(ringCapacity: Int, isLossless: Bool) throws {
        ring = SampleRing(minimumCapacity: ringCapacity)
        arrival = try WakeUp()
        attention = try WakeUp()
        self.isLossless = isLossless
    }

    var isStopping: Bool { stopRequested.load(ordering: .acquiring) }

    /// The producer is alive, and whether it is to go on.
    func turn() -> Bool {
        turns.add(1, ordering: .relaxed)
        return !isStopping
    }

    func requestStop() {
        stopRequested.store(true, ordering: .releasing)
        attention.signal()
        arrival.signal()
    }

    /// The state of the producer. Load it before looking at the ring: once it is not `running`, nothing is added.
    func loadCompletion() -> Completion { completion.load(ordering: .acquiring) }

    func loadFailure() -> AudioCaptureError? { failure.withLock { $0 } }

    func complete(_ error: AudioCaptureError?) {
        failure.withLock { $0 = error }
        completion.store(error == nil ? .ended : .failed, ordering: .releasing)
        arrival.signal()
    }
}

/// The producer's side of a ``CaptureStream``: applies the overflow policy. Used by the capture thread only.
struct CaptureWriter: ~Copyable {
    let stream: CaptureStream

    /// Losses that are not yet in the ring, in frames.
    private var pendingOverflow = 0
    private var pendingOverrun = 0
    private var pendingSuspend = 0
    private var isDropping = false

    init(_ stream: CaptureStream) {
        self.stream = stream
    }

    /// Hands a block on. Never waits: when the ring is full the newest samples are dropped and counted.
    ///
    /// After an overflow it goes on only when a quarter of the ring is free, so that a consumer that is a little too slow
    /// sees few long gaps instead of a gap in every block.
    mutating func deliver(_ block: UnsafeBufferPointer<Float>) {
        stream.framesCaptured.add(block.count, ordering: .relaxed)
        if isDropping && stream.ring.freeSpace >= stream.ring.capacity / 4 { isDropping = false }
        if !isDropping && publishPending() {
            let written = stream.ring.write(block)
            if written > 0 { stream.arrival.signal() }
            if written == block.count { return }
            drop(block.count - written)
        } else {
            drop(block.count)
        }
    }

    private mutating func drop(_ count: Int) {
        isDropping = true
        pendingOverflow += count
        stream.framesDropped.add(count, ordering: .relaxed)
    }

    /// Hands a block on, waiting for space as long as it takes.
    /// - Returns: `false` if it was told to stop before all was written.
    mutating func deliverWaiting(_ block: UnsafeBufferPointer<Float>) -> Bool {
        stream.framesCaptured.add(block.count, ordering: .relaxed)
        var rest = block[...]
        while !rest.isEmpty {
            if !stream.turn() { return false }
            let written = stream.ring.write(UnsafeBufferPointer(rebasing: rest))
            if written > 0 {
                stream.arrival.signal()
                rest = rest.dropFirst(written)
            } else {
                _ = stream.attention.wait(until: monotonicNanoseconds() + 500_000_000)
            }
        }
        return true
    }

    /// Records frames that the device captured, or would have, and nobody can have any more.
    mutating func lose(_ frames: Int, reason: GapReason) {
        stream.lostFrames.add(frames, ordering: .relaxed)
        switch reason {
        case .overflow: pendingOverflow += frames
        case .overrun: pendingOverrun += frames
        case .suspend: pendingSuspend += frames
        }
        if publishPending() { stream.arrival.signal() }
    }

    /// Puts the pending losses into the ring, before the next sample.
    private mutating func publishPending() -> Bool {
        Self.publish(&pendingOverflow, .overflow, stream.ring)
            && Self.publish(&pendingOverrun, .overrun, stream.ring)
            && Self.publish(&pendingSuspend, .suspend, stream.ring)
    }

    private static func publish(_ pending: inout Int, _ reason: GapReason, _ ring: SampleRing) -> Bool {
        if pending == 0 { return true }
        guard ring.recordGap(lostFrames: pending, reason: reason) else { return false }
        pending = 0
        return true
    }

    /// Ends the stream; `error` is what the consumer will meet behind the last sample.
    consuming func finish(_ error: AudioCaptureError?) {
        while stream.turn() && !publishPending() {
            // 64 gaps wait for the consumer; nothing is being captured any more, so waiting harms nobody.
            _ = stream.attention.wait(until: monotonicNanoseconds() + 50_000_000)
        }
        stream.complete(error)
    }
}
