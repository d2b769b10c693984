import NIOConcurrencyHelpers
import NIOCore
import Synchronization

/// Hands messages from any thread to the event loop: numbers them, never waits, never grows beyond its limit. In the
/// other direction it tells whether `top` is wanted.
final class Mailbox: Sendable {
    struct Entry: Sendable {
        var message: ServerMessage
        /// Nil for `top`, which has none.
        var sequence: Int64?
    }

    /// All that came since the last call, oldest first.
    struct Contents: Sendable {
        /// Numbered messages dropped before the entries because the event loop was behind.
        var droppedCount = 0
        var firstDroppedSequence: Int64 = 0
        var entries = CircularBuffer<Entry>()
    }

    private struct State {
        var lastSequence: Int64
        var isOpen = false
        var contents = Contents()
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
            var sequence: Int64?
            if message.isSequenced {
                state.lastSequence += 1
                sequence = state.lastSequence
            }
            guard state.isOpen else { return (sequence, false) }
            let isFull = state.contents.entries.count >= limit
            if isFull, let dropped = state.contents.entries.popFirst()?.sequence {
                if state.contents.droppedCount == 0 { state.contents.firstDroppedSequence = dropped }
                state.contents.droppedCount += 1
            }
            state.contents.entries.append(Entry(message: message, sequence: sequence))
            return (sequence, state.contents.entries.count == 1 && !isFull)
        }
    }

    func take() -> Contents {
        state.withLockedValue { state in
            defer { state.contents = Contents() }
            return state.contents
        }
    }
}
