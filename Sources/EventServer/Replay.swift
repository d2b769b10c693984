import EventMessages
import NIOCore

/// What a client that asked `since` still has to get from the history before it is in the present.
///
/// Pages come one at a time, when all of the last has been written: however far back a client begins, one page of it is
/// held.
struct Replay {
    /// Messages read at once.
    static let pageLength = 64

    /// Up to this number all has been taken by ``next()``.
    private(set) var position: Int64
    private var page = CircularBuffer<SequencedMessage>()

    init(after sequence: Int64) {
        position = sequence
    }

    enum Item {
        /// So many messages after the position are in no history any more.
        case lost(LaggedMessage)
        case message(SequencedMessage)
    }

    var isPageEmpty: Bool { page.isEmpty }

    mutating func take(_ messages: some Sequence<SequencedMessage>) {
        page.append(contentsOf: messages)
    }

    mutating func next() -> Item? {
        guard let message = page.first else { return nil }
        if let hole = skip(to: message.sequence - 1) { return .lost(hole) }
        page.removeFirst()
        position = message.sequence
        return .message(message)
    }

    /// Gives up what the history does not have up to a number; nil if that is nothing.
    mutating func skip(to sequence: Int64) -> LaggedMessage? {
        guard sequence > position else { return nil }
        defer { position = sequence }
        return LaggedMessage(missed: Int(clamping: sequence - position), resume: position, isLost: true)
    }
}
