import CALSA
import Glibc
import Synchronization

/// A thread of its own, for work that blocks: capture and inference never run in the cooperative pool.
package final class WorkerThread: Sendable {
    private let finished = Mutex<Bool>(false)
    private let exit: ThreadExit

    /// Starts a thread.
    /// - Parameters:
    ///   - name: Shown by `ps -L` and debuggers; at most 15 bytes count.
    ///   - realTimePriority: `SCHED_FIFO` priority that is asked for; where the system does not permit it the thread
    ///     runs with normal priority.
    ///   - body: Runs once on the new thread.
    package init(name: String, realTimePriority: Int32? = nil, body: sending @escaping () -> Void) throws {
        exit = try ThreadExit()
        let start = ThreadStart(name: name, realTimePriority: realTimePriority, body: body, exit: exit)
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(start)
        let code = pthread_create(&thread, &attributes, { runThread($0) }, argument.toOpaque())
        if code != 0 {
            argument.release()
            throw AudioCaptureError(.device, "cannot start the thread \(name): \(errorText(code))")
        }
    }

    /// Waits until the thread's work is done.
    /// - Returns: `false` if it was not within `timeout`.
    package func join(timeout: Duration) -> Bool {
        finished.withLock { finished in
            if !finished {
                finished = exit.signal.wait(until: monotonicNanoseconds() + timeout.boundedNanoseconds)
            }
            return finished
        }
    }

    /// Whether the thread's work is done, without waiting.
    package var hasFinished: Bool { exit.isReached.load(ordering: .acquiring) }
}

private final class ThreadExit: Sendable {
    let signal: WakeUp
    let isReached = Atomic(false)

    init() throws { signal = try WakeUp() }
}

private final class ThreadStart {
    let name: String
    let realTimePriority: Int32?
    var body: (() -> Void)?
    let exit: ThreadExit

    init(name: String, realTimePriority: Int32?, body: @escaping () -> Void, exit: ThreadExit) {
        self.name = name
        self.realTimePriority = realTimePriority
        self.body = body
        self.exit = exit
    }
}

private func runThread(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    let start = Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue()
    pthread_setname_np(pthread_self(), String(decoding: start.name.utf8.prefix(15), as: UTF8.self))
    if let priority = start.realTimePriority {
        var parameters = sched_param()
        parameters.sched_priority = priority
        pthread_setschedparam(pthread_self(), SCHED_FIFO, &parameters)
    }
    start.body?()
    // What the work held, such as an open device, is given back before anyone learns that it is done.
    start.body = nil
    start.exit.isReached.store(true, ordering: .releasing)
    start.exit.signal.signal()
    return nil
}
