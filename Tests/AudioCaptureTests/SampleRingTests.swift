import Foundation
import Synchronization
import Testing

@testable import AudioCapture

@Suite struct SampleRingTests {
    private func write(_ ring: SampleRing, _ values: Range<Int>) -> Int {
        values.map { Float($0) }.withUnsafeBufferPointer { ring.write($0) }
    }

    /// Everything up to the next gap or the end.
    private func drain(_ ring: SampleRing) -> [Float] {
        var values: [Float] = []
        while case .samples(let part) = ring.front() {
            values += part
            ring.consume(part.count)
        }
        return values
    }

    @Test func wrapsAround() {
        let ring = SampleRing(minimumCapacity: 5)
        #expect(ring.capacity == 8)
        var next = 0
        for size in [3, 8, 1, 5, 7, 8, 2] {
            #expect(write(ring, next..<next + size) == size)
            #expect(ring.fill == size)
            #expect(drain(ring) == (next..<next + size).map { Float($0) })
            next += size
        }
        #expect(write(ring, 0..<10) == 8)
        #expect(ring.freeSpace == 0)
        #expect(write(ring, 0..<1) == 0)
    }

    @Test func gapsLieWhereTheyHappened() {
        let ring = SampleRing(minimumCapacity: 8)
        #expect(ring.recordGap(lostFrames: 1, reason: .overrun))
        _ = write(ring, 0..<3)
        #expect(ring.recordGap(lostFrames: 20, reason: .overrun))
        #expect(ring.recordGap(lostFrames: 30, reason: .overflow))
        _ = write(ring, 3..<5)
        guard case .gap(let first) = ring.front() else { Issue.record("no gap at the beginning"); return }
        #expect(first == SampleRing.Gap(position: 0, lostFrames: 1, reason: .overrun))
        ring.consumeGap()
        #expect(drain(ring) == [0, 1, 2])
        guard case .gap(let second) = ring.front() else { Issue.record("no gap after 3"); return }
        #expect(second.lostFrames == 20)
        ring.consumeGap()
        guard case .gap(let third) = ring.front() else { Issue.record("no second gap after 3"); return }
        #expect(third.reason == .overflow)
        ring.consumeGap()
        #expect(drain(ring) == [3, 4])
    }

    @Test func gapsAreBounded() {
        let ring = SampleRing(minimumCapacity: 8)
        for _ in 0..<SampleRing.gapCapacity { #expect(ring.recordGap(lostFrames: 1, reason: .overrun)) }
        #expect(!ring.recordGap(lostFrames: 1, reason: .overrun))
        guard case .gap = ring.front() else { Issue.record("no gap"); return }
        ring.consumeGap()
        #expect(ring.recordGap(lostFrames: 1, reason: .overrun))
    }

    /// Values stay below 2^24, so that a float holds each exactly.
    @Test(arguments: [UInt64(1), 2, 3])
    func losesNothingBetweenTwoThreads(seed: UInt64) throws {
        let total = 2_000_000
        let stream = try CaptureStream(ringCapacity: 1 << 10, isLossless: true)
        let thread = try WorkerThread(name: "producer") {
            var random = SeededGenerator(state: seed)
            var writer = CaptureWriter(stream)
            var next = 0
            while next < total {
                let size = min(total - next, Int.random(in: 1...700, using: &random))
                let block = (next..<next + size).map { Float($0) }
                _ = block.withUnsafeBufferPointer { writer.deliverWaiting($0) }
                next += size
            }
            writer.finish(nil)
        }
        var random = SeededGenerator(state: seed + 100)
        var expected = 0
        var wrong = 0
        while true {
            let completion = stream.loadCompletion()
            guard case .samples(let part) = stream.ring.front() else {
                if completion != .running { break }
                #expect(stream.arrival.wait(until: monotonicNanoseconds() + 10_000_000_000))
                continue
            }
            let count = Int.random(in: 1...part.count, using: &random)
            for value in part.prefix(count) {
                wrong += value == Float(expected) ? 0 : 1
                expected += 1
            }
            stream.ring.consume(count)
            stream.attention.signal()
        }
        #expect(wrong == 0)
        #expect(expected == total)
        #expect(thread.join(timeout: .seconds(10)))
    }

    /// A consumer that is too slow: each sample either arrives, in order, or is in the gap at its place.
    @Test(arguments: [UInt64(4), 5, 6])
    func overflowsAreCountedAndPlaced(seed: UInt64) throws {
        let total = 3_000_000
        let stream = try CaptureStream(ringCapacity: 1 << 12, isLossless: false)
        let thread = try WorkerThread(name: "producer") {
            var random = SeededGenerator(state: seed)
            var writer = CaptureWriter(stream)
            var next = 0
            while next < total {
                let size = min(total - next, Int.random(in: 1...700, using: &random))
                if Int.random(in: 0..<200, using: &random) == 0 {
                    writer.lose(size, reason: .overrun)
                } else {
                    let block = (next..<next + size).map { Float($0) }
                    block.withUnsafeBufferPointer { writer.deliver($0) }
                }
                next += size
            }
            writer.finish(nil)
        }
        var random = SeededGenerator(state: seed + 100)
        var position = 0
        var wrong = 0
        var lost: [GapReason: Int] = [:]
        while true {
            let completion = stream.loadCompletion()
            switch stream.ring.front() {
            case .gap(let gap):
                lost[gap.reason, default: 0] += gap.lostFrames
                position += gap.lostFrames
                stream.ring.consumeGap()
            case .samples(let part):
                let count = Int.random(in: 1...part.count, using: &random)
                for value in part.prefix(count) {
                    wrong += value == Float(position) ? 0 : 1
                    position += 1
                }
                stream.ring.consume(count)
                if Int.random(in: 0..<8, using: &random) == 0 { sched_yield() }
            case .empty:
                if completion != .running {
                    #expect(wrong == 0)
                    #expect(position == total)
                    #expect(lost[.overflow, default: 0] == stream.framesDropped.load(ordering: .relaxed))
                    #expect(lost[.overrun, default: 0] == stream.lostFrames.load(ordering: .relaxed))
                    #expect(thread.join(timeout: .seconds(10)))
                    return
                }
                _ = stream.arrival.wait(until: monotonicNanoseconds() + 10_000_000_000)
            }
        }
    }

    @Test func deliverNeverWaits() throws {
        let stream = try CaptureStream(ringCapacity: 1024, isLossless: false)
        var writer = CaptureWriter(stream)
        let block = [Float](repeating: 1, count: 300)
        for _ in 0..<10 { block.withUnsafeBufferPointer { writer.deliver($0) } }
        #expect(stream.framesCaptured.load(ordering: .relaxed) == 3000)
        #expect(stream.framesDropped.load(ordering: .relaxed) == 3000 - 1024)
        #expect(drain(stream.ring).count == 1024)
        // The first block with room again comes behind the gap.
        block.withUnsafeBufferPointer { writer.deliver($0) }
        guard case .gap(let gap) = stream.ring.front() else { Issue.record("no gap"); return }
        #expect(gap == SampleRing.Gap(position: 1024, lostFrames: 3000 - 1024, reason: .overflow))
        writer.finish(nil)
    }
}
