import Dispatch
import Foundation
import Synchronization

/// What the daemon's main loop waits for.
enum ControlEvent: Sendable {
    case reload
    case terminate
    case sourcesEnded
}

/// Signals, and what else ends or changes the daemon, as one stream.
///
/// A signal handler writes the signal's number into a pipe, which a dispatch source reads. Signal sources of libdispatch
/// are not used: they arm themselves from another thread some time after they were made, and a signal that comes before
/// is lost.
final class ControlEvents: @unchecked Sendable {
    let stream: AsyncStream<ControlEvent>
    private let continuation: AsyncStream<ControlEvent>.Continuation
    /// Kept alive only; nothing touches it after `init`, so the class may be shared.
    private let source: any DispatchSourceRead

    /// To be called once in a process: the handlers stay.
    init() {
        (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(16))
        let continuation = continuation
        var ends: [CInt] = [-1, -1]
        precondition(pipe(&ends) == 0, "no pipe for signals: \(String(cString: strerror(errno)))")
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        let readEnd = ends[0]
        signalPipe.store(ends[1], ordering: .releasing)
        source = DispatchSource.makeReadSource(fileDescriptor: readEnd, queue: .global())
        source.setEventHandler {
            var numbers = [UInt8](repeating: 0, count: 64)
            let count = read(readEnd, &numbers, numbers.count)
            for number in numbers.prefix(max(0, count)) {
                continuation.yield(CInt(number) == SIGHUP ? .reload : .terminate)
            }
        }
        source.activate()
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { number in
            let error = errno
            var byte = UInt8(truncatingIfNeeded: number)
            // Full only where so many signals wait that one more changes nothing.
            _ = write(signalPipe.load(ordering: .acquiring), &byte, 1)
            errno = error
        }
        action.sa_flags = SA_RESTART
        for number in [SIGHUP, SIGTERM, SIGINT] { sigaction(number, &action, nil) }
    }

    func send(_ event: ControlEvent) {
        continuation.yield(event)
    }
}

/// The writing end of the pipe, for the handler, which has nothing but globals.
private let signalPipe = Atomic<CInt>(-1)
