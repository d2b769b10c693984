import EventMessages
import NIOConcurrencyHelpers
import NIOCore
import Synchronization

/// Hands messages from any thread to the event loop: never waits, never grows beyond its limit. In the other direction it
/// tells whether `top` is wanted.
final class Mailbox: Sendable {
    enum Entry: Sendable {
        case numbered(SequencedMessage)
        case top(TopMessage)
    }

    private struct State {
        var lastSequence: Int64
        var isOpen = false
        var entries = CircularBuffer<Entry>()
    }

    let limit: Int
    /// Not a `Mutex`: Thread Sanitizer does not see that one.
    private let state: NIOLockedValueBox<State>
    /// Written by the event loop, read by any thread.
    let wantsTop = Atomic(false)

    init(limit: Int, firstSequence: Int64) {
        precondition(limit > 0)
        self.limit = limit
        state = NIOLockedValueBox(State(lastSequence: firstSequence - 1))
    }

    var lastSequence: Int64 { state.withLockedValue { $0.lastSequence } }

    /// - Returns: The number last given out: what has it or a lower one is in nobody's contents.
    func open() -> Int64 {
        state.withLockedValue { state in
            state.isOpen = true
            return state.lastSequence
        }
    }

    func close() { state.withLockedValue { $0.isOpen = false } }

    /// Numbers the message and leaves it for the event loop; while the mailbox is closed there is nobody to get it.
    ///
    /// - Returns: The number, and whether the event loop must be told: it has not been since it last took the contents.
    func put(_ message: ServerMessage) -> (sequence: Int64?, mustNotify: Bool) {
        state.withLockedValue { state in
            if case .top(let top) = message { return (nil, put(.top(top), in: &state)) }
            let numbered = SequencedMessage(message, sequence: state.lastSequence + 1)
            state.lastSequence = numbered.sequence
            return (numbered.sequence, put(.numbered(numbered), in: &state))
        }
    }

    /// Leaves messages that have their numbers for the event loop.
    ///
    /// - Returns: Whether the event loop must be told.
    func put(_ messages: some Sequence<SequencedMessage>) -> Bool {
        state.withLockedValue { state in
            var mustNotify = false
            for message in messages {
                precondition(message.sequence > state.lastSequence, "numbers must ascend")
                state.lastSequence = message.sequence
                if put(.numbered(message), in: &state) { mustNotify = true }
            }
            return mustNotify
        }
    }

    /// When it is full the oldest goes; the event loop sees the hole in the numbers.
    private func put(_ entry: Entry, in state: inout State) -> Bool {
        guard state.isOpen else { return false }
        let isFull = state.entries.count >= limit
        if isFull { state.entries.removeFirst() }
        state.entries.append(entry)
        return state.entries.count == 1 && !isFull
    }

    /// All that came since the last call, oldest first.
    func take() -> CircularBuffer<Entry> {
        state.withLockedValue { state in
            defer { state.entries = CircularBuffer() }
            return state.entries
        }
    }
}
