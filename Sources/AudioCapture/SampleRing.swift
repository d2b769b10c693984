import Synchronization

/// Why audio is missing from a stream.
package enum GapReason: String, Sendable {
    /// The device's own buffer ran over before it was read.
    case overrun
    /// The ring ran over: whoever consumes the stream is slower than real time.
    case overflow
    /// The machine slept.
    case suspend
}

/// A bounded queue of mono samples, and of the gaps between them, from one producer thread to one consumer thread,
/// without locks and without allocation after `init`.
///
/// Protocol, which is what makes `@unchecked Sendable` true:
/// - Exactly one thread calls the producer methods and exactly one the consumer methods, at any time.
/// - `writeIndex`, `readIndex` count samples since the beginning and never wrap (`Int` lasts for 10^6 years at
///   192 kHz); sample `i` lies in slot `i & mask`. The producer alone stores `writeIndex`, the consumer alone
///   `readIndex`; `0 <= writeIndex - readIndex <= capacity`.
/// - The producer fills slots in `[writeIndex, readIndex + capacity)`, then stores `writeIndex` with release order.
///   The consumer loads it with acquire order and reads only slots in `[readIndex, writeIndex)`, then stores
///   `readIndex` with release order, which the producer loads with acquire order before it fills a slot again.
///   So no slot is ever read and written at once.
/// - Gaps lie in a second ring under the same rules. A gap at position `p` is published before `writeIndex` exceeds
///   `p`, and the consumer loads `writeIndex` first: a sample behind a gap is never seen before its gap.
final class SampleRing: @unchecked Sendable {
    /// `lostFrames` frames are missing between the samples `position - 1` and `position` of the ring.
    struct Gap: Equatable {
        var position: Int
        var lostFrames: Int
        var reason: GapReason
    }

    static let gapCapacity = 64

    /// In samples, a power of two.
    let capacity: Int

    private let mask: Int
    private let samples: UnsafeMutablePointer<Float>
    private let gaps: UnsafeMutablePointer<Gap>
    private let writeIndex = Atomic<Int>(0)
    private let readIndex = Atomic<Int>(0)
    private let gapWriteIndex = Atomic<Int>(0)
    private let gapReadIndex = Atomic<Int>(0)

    /// - Parameter minimumCapacity: In samples; rounded up to a power of two.
    init(minimumCapacity: Int) {
        precondition(minimumCapacity > 0 && minimumCapacity <= 1 << 32)
        var capacity = 1
        while capacity < minimumCapacity { capacity <<= 1 }
        self.capacity = capacity
        mask = capacity - 1
        samples = .allocate(capacity: capacity)
        // Touched now, so that the capture thread meets no page faults.
        samples.initialize(repeating: 0, count: capacity)
        gaps = .allocate(capacity: Self.gapCapacity)
        gaps.initialize(repeating: Gap(position: 0, lostFrames: 0, reason: .overflow), count: Self.gapCapacity)
    }

    deinit {
        samples.deallocate()
        gaps.deallocate()
    }

    /// Samples written and not yet read. Any thread; a snapshot.
    var fill: Int {
        // Read first: the difference may then be too large by what was read meanwhile, but never negative.
        let read = readIndex.load(ordering: .acquiring)
        return min(capacity, writeIndex.load(ordering: .acquiring) - read)
    }

    // MARK: Producer

    /// Samples that can be written now.
    var freeSpace: Int {
        capacity - (writeIndex.load(ordering: .relaxed) - readIndex.load(ordering: .acquiring))
    }

    /// Writes as much of `block` as there is room for.
    /// - Returns: How many samples were written, from the beginning of `block`.
    func write(_ block: UnsafeBufferPointer<Float>) -> Int {
        let count = min(freeSpace, block.count)
        guard count > 0, let source = block.baseAddress else { return 0 }
        let start = writeIndex.load(ordering: .relaxed)
        let slot = start & mask
        let first = min(count, capacity - slot)
        (samples + slot).update(from: source, count: first)
        samples.update(from: source + first, count: count - first)
        writeIndex.store(start + count, ordering: .releasing)
        return count
    }

    /// Records that `lostFrames` frames are missing before the next sample written.
    /// - Returns: `false` if the consumer has left too many gaps unread; nothing was recorded.
    func recordGap(lostFrames: Int, reason: GapReason) -> Bool {
        let index = gapWriteIndex.load(ordering: .relaxed)
        if index - gapReadIndex.load(ordering: .acquiring) == Self.gapCapacity { return false }
        gaps[index % Self.gapCapacity] = Gap(
            position: writeIndex.load(ordering: .relaxed), lostFrames: lostFrames, reason: reason)
        gapWriteIndex.store(index + 1, ordering: .releasing)
        return true
    }

    // MARK: Consumer

    /// What lies at the read position.
    enum Front {
        /// Samples up to the next gap, the end of the storage or the last one written.
        case samples(UnsafeBufferPointer<Float>)
        case gap(Gap)
        case empty
    }

    /// The samples stay valid until ``consume(_:)``.
    func front() -> Front {
        let position = readIndex.load(ordering: .relaxed)
        let end = writeIndex.load(ordering: .acquiring)
        var available = end - position
        let gapIndex = gapReadIndex.load(ordering: .relaxed)
        if gapIndex < gapWriteIndex.load(ordering: .acquiring) {
            let gap = gaps[gapIndex % Self.gapCapacity]
            if gap.position == position { return .gap(gap) }
            available = min(available, gap.position - position)
        }
        if available == 0 { return .empty }
        let slot = position & mask
        return .samples(UnsafeBufferPointer(start: samples + slot, count: min(available, capacity - slot)))
    }

    /// Frees the first `count` samples of what ``front()`` showed.
    func consume(_ count: Int) {
        readIndex.store(readIndex.load(ordering: .relaxed) + count, ordering: .releasing)
    }

    /// Frees the gap that ``front()`` showed.
    func consumeGap() {
        gapReadIndex.store(gapReadIndex.load(ordering: .relaxed) + 1, ordering: .releasing)
    }
}
