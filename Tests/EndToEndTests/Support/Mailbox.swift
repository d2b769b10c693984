import Dispatch
import Synchronization

/// Why a test cannot go on: what was waited for, and what is known.
struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Values that a reader thread puts in and one test takes out; each wait has an end.
final class Mailbox<Element: Sendable>: Sendable {
    private struct State {
        var all: [Element] = []
        var taken = 0
        var isFinished = false
        var waiter: CheckedContinuation<Void, Never>?
        /// Numbers the waits, so that a timer wakes only its own.
        var turn = 0
    }

    private let name: String
    private let state = Mutex(State())

    /// - Parameter name: Of what is waited for, for messages.
    init(_ name: String) { self.name = name }

    func put(_ element: Element) {
        state.withLock { state in
            state.all.append(element)
            return state.waiter.take()
        }?.resume()
    }

    /// Nothing more will come.
    func finish() {
        state.withLock { state in
            state.isFinished = true
            return state.waiter.take()
        }?.resume()
    }

    /// All that came so far, taken or not.
    var all: [Element] { state.withLock { $0.all } }

    /// The next one; nil at the end.
    func next(within limit: Duration = .seconds(120)) async throws -> Element? {
        let deadline = ContinuousClock.now + limit
        while true {
            let (element, isFinished) = state.withLock { state -> (Element?, Bool) in
                guard state.taken < state.all.count else { return (nil, state.isFinished) }
                state.taken += 1
                return (state.all[state.taken - 1], false)
            }
            if let element { return element }
            if isFinished { return nil }
            guard ContinuousClock.now < deadline else {
                throw Failure("\(name): nothing came in time; so far: \(all.suffix(20))")
            }
            await wait(until: deadline)
        }
    }

    /// The next one for which `condition` holds; others are passed over.
    func first(
        within limit: Duration = .seconds(120), _ what: String, where condition: (Element) -> Bool
    ) async throws -> Element {
        let deadline = ContinuousClock.now + limit
        // What is there already counts, even if this task comes late to it.
        while true {
            guard let element = try await next(within: deadline - .now) else {
                throw Failure("\(name): ended without \(what); got \(all.suffix(20))")
            }
            if condition(element) { return element }
        }
    }

    /// All that is left, up to the end.
    func rest(within limit: Duration = .seconds(120)) async throws -> [Element] {
        let deadline = ContinuousClock.now + limit
        var elements: [Element] = []
        while let element = try await next(within: deadline - .now) { elements.append(element) }
        return elements
    }

    private func wait(until deadline: ContinuousClock.Instant) async {
        await withCheckedContinuation { continuation in
            let turn = state.withLock { state -> Int? in
                guard state.taken == state.all.count, !state.isFinished else { return nil }
                precondition(state.waiter == nil, "two tests wait for \(name)")
                state.waiter = continuation
                state.turn += 1
                return state.turn
            }
            guard let turn else { return continuation.resume() }
            let seconds = max(0, Int((deadline - .now).components.seconds)) + 1
            DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(seconds)) { [self] in
                state.withLock { $0.turn == turn ? $0.waiter.take() : nil }?.resume()
            }
        }
    }
}
