import EventMessages
import NIOCore

/// A message on its way out, shared by all clients that get it.
final class Broadcast: Sendable {
    let sequence: Int64
    let header: MessageHeader
    let line: ByteBuffer

    init(_ message: SequencedMessage) {
        sequence = message.sequence
        header = message.header
        line = ByteBuffer(bytes: message.line)
    }
}

/// What waits for one client to read: bounded; when full the oldest goes, and the hole is reported where it is.
struct ClientQueue {
    enum Item {
        case lagged(LaggedMessage)
        case message(Broadcast)
    }

    /// In messages.
    let limit: Int
    private var messages = CircularBuffer<Broadcast>()
    /// Messages are only ever dropped at the head, so there is one hole at most, before all that waits.
    private var hole: LaggedMessage?

    init(limit: Int) {
        precondition(limit > 0)
        self.limit = limit
    }

    var count: Int { messages.count }
    var isFull: Bool { messages.count >= limit }
    var isEmpty: Bool { messages.isEmpty && hole == nil }

    /// - Returns: Whether an older message had to go.
    mutating func append(_ message: Broadcast) -> Bool {
        let mustDrop = isFull
        if mustDrop, let oldest = messages.popFirst() {
            recordLoss(count: 1, firstSequence: oldest.sequence)
        }
        messages.append(message)
        return mustDrop
    }

    /// Reports messages as missed that never came into the queue. What still waits is older, so it goes too: a hole is
    /// always before what waits.
    ///
    /// - Returns: How many are missed now that were not before.
    mutating func skip(count: Int, firstSequence: Int64) -> Int {
        let dropped = messages.count
        if let oldest = messages.first { recordLoss(count: dropped, firstSequence: oldest.sequence) }
        messages.removeAll()
        recordLoss(count: count, firstSequence: firstSequence)
        return dropped + count
    }

    private mutating func recordLoss(count: Int, firstSequence: Int64) {
        hole = LaggedMessage(missed: (hole?.missed ?? 0) + count, resume: hole?.resume ?? firstSequence - 1)
    }

    mutating func next() -> Item? {
        if let lagged = hole {
            hole = nil
            return .lagged(lagged)
        }
        return messages.popFirst().map { .message($0) }
    }

    /// Keeps what a new filter admits.
    mutating func retain(where admits: (MessageHeader) -> Bool) {
        messages = CircularBuffer(messages.filter { admits($0.header) })
    }

    mutating func removeAll() {
        messages = CircularBuffer()
        hole = nil
    }
}
