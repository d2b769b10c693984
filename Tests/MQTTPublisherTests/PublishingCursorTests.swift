import TestSupport
import Testing

@testable import MQTTPublisher

@Suite struct PublishingCursorTests {
    /// Whatever the order of acknowledgements and losses, no number is passed over that the broker has not confirmed, and
    /// each is sent in the end.
    @Test(arguments: 0..<20)
    func positionIsBehindEveryUnconfirmedNumber(seed: Int) {
        var generator = SeededGenerator(seed: UInt64(seed))
        let last: Int64 = 200
        var cursor = PublishingCursor(acknowledged: 3, window: 7)
        var confirmed: Set<Int64> = []
        var onTheWay: [(identifier: Int32, sequence: Int64)] = []
        var nextIdentifier: Int32 = 0
        var turns = 0
        while cursor.acknowledged < last {
            turns += 1
            switch Int.random(in: 0..<20, using: &generator) {
            case 0:
                cursor.rewind()
                onTheWay = []
                #expect(cursor.sent == cursor.acknowledged && cursor.room == 7)
            case 1...10 where cursor.room > 0 && cursor.sent < last:
                // Some numbers are not in the log.
                let sequence = min(last, cursor.sent + Int64.random(in: 1...2, using: &generator))
                for missing in cursor.sent + 1..<max(sequence, cursor.sent + 1) { confirmed.insert(missing) }
                nextIdentifier += 1
                cursor.send(sequence, as: nextIdentifier)
                onTheWay.append((nextIdentifier, sequence))
            default:
                guard let index = onTheWay.indices.randomElement(using: &generator) else { continue }
                let (identifier, sequence) = onTheWay.remove(at: index)
                confirmed.insert(sequence)
                let (isKnown, isKnownTwice) = (cursor.acknowledge(identifier), cursor.acknowledge(identifier))
                #expect(isKnown && !isKnownTwice)
            }
            #expect(onTheWay.count == 7 - cursor.room)
            #expect((4...last).prefix { confirmed.contains($0) }.last ?? 3 >= cursor.acknowledged)
        }
        #expect(confirmed.count == Int(last) - 3 && turns > 200)
    }

    @Test func whatCannotBeSentHoldsNothingUp() {
        var cursor = PublishingCursor(acknowledged: 0, window: 2)
        cursor.skip(1)
        #expect(cursor.acknowledged == 1)
        cursor.send(2, as: 10)
        cursor.skip(3)
        #expect(cursor.acknowledged == 1 && cursor.room == 1)
        let isKnown = cursor.acknowledge(10)
        #expect(isKnown && cursor.acknowledged == 3 && cursor.sent == 3)
    }
}
