import Synchronization

/// A source that is being opened on a thread of its own: a driver or a sound server that hangs holds that thread, and not
/// the one that asks.
package final class AudioInputOpening: Sendable {
    /// Carries the input from the thread that opened it to the one that takes it; only one has it at a time, which is
    /// what makes `@unchecked Sendable` true.
    private struct Outcome: @unchecked Sendable {
        let result: Result<AudioInput, any Error>
    }

    private final class Slot: Sendable {
        let outcome = Mutex<Outcome?>(nil)
    }

    private let slot = Slot()
    private let thread: WorkerThread

    /// Begins to open.
    /// - Throws: ``AudioCaptureError`` if there can be no thread.
    package init(_ configuration: AudioInput.Configuration) throws {
        let slot = slot
        thread = try WorkerThread(name: "earshot-open") {
            let outcome = Outcome(result: Result { try AudioInput(configuration) })
            slot.outcome.withLock { $0 = outcome }
        }
    }

    /// The opened source, once; nil where that takes longer than `timeout`.
    /// - Throws: What opening it threw.
    package func input(timeout: Duration) throws -> AudioInput? {
        guard thread.join(timeout: timeout) else { return nil }
        return try slot.outcome.withLock { $0.take() }?.result.get()
    }
}
