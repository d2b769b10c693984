import Dispatch
import Foundation

/// What the daemon's main loop waits for.
enum ControlEvent: Sendable {
    case reload
    case terminate
    case sourcesEnded
}

/// Signals, and what else ends or changes the daemon, as one stream.
final class ControlEvents: @unchecked Sendable {
    let stream: AsyncStream<ControlEvent>
    private let continuation: AsyncStream<ControlEvent>.Continuation
    /// Kept alive only; nothing touches them after `init`, so the class may be shared.
    private let signals: [any DispatchSourceSignal]

    init() {
        (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(16))
        let continuation = continuation
        signals = [(SIGHUP, ControlEvent.reload), (SIGTERM, .terminate), (SIGINT, .terminate)].map { number, event in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { continuation.yield(event) }
            source.activate()
            return source
        }
    }

    func send(_ event: ControlEvent) {
        continuation.yield(event)
    }
}
