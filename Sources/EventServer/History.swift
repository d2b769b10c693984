import EventMessages
import NIOCore
import NIOPosix

/// Reads the history for clients on threads of its own: the event loop never waits for a disk.
struct History: Sendable {
    let source: any EventHistory
    let readers: NIOThreadPool
    let eventLoop: any EventLoop

    func messages(after sequence: Int64, limit: Int) -> EventLoopFuture<[SequencedMessage]> {
        readers.runIfActive(eventLoop: eventLoop) { try source.messages(after: sequence, limit: limit) }
    }
}
