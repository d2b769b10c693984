import DetectionPipeline
import EventMessages
import EventServer
import EventStore
import Logging
import Synchronization

/// The way of a message from the threads that detect to the clients: numbered, stored, sent.
///
/// Without a store the server numbers messages and nothing is kept.
final class EventPublisher: Sendable {
    let server: EventServer
    /// Nil where nothing is stored.
    let recorder: EventRecorder?

    /// Opens the store; the socket is not open yet.
    ///
    /// - Throws: `EventStoreError`.
    init(
        store: EventStore.Configuration?, socket: EventServer.Configuration, providers: EventServer.Providers,
        logger: Logger
    ) throws {
        let outlet = Outlet()
        recorder = try store.map { store in
            try EventRecorder(store, logger: logger) { outlet.server.withLock { $0 }?.publish($0) }
        }
        var socket = socket
        if let recorder { socket.firstSequence = recorder.lastSequence + 1 }
        server = EventServer(configuration: socket, providers: providers, history: recorder, logger: logger)
        outlet.server.withLock { [server] in $0 = server }
    }

    /// What the recorder hands to; it is there before the server.
    private final class Outlet: Sendable {
        let server = Mutex<EventServer?>(nil)
    }

    /// Ends what an earlier run left open, then opens the socket.
    func start() async throws {
        recorder?.endOpenEvents()
        try await server.start()
    }

    /// Stores and sends what is left, then closes both.
    func stop() async {
        if let recorder { await offPool { recorder.close() } }
        await server.stop()
    }

    /// From any thread; never waits for the disk or a client.
    ///
    /// - Parameter eventPrefix: Makes event identifiers unique over restarts of the source and of the daemon.
    func publish(_ report: SourceReport, eventPrefix: String) {
        guard let message = report.message(eventPrefix: eventPrefix) else { return }
        if let recorder, message.isSequenced {
            recorder.record(message)
        } else {
            server.publish(message)
        }
    }

    /// The store in the reply to `status`.
    var storeStatus: JSONValue {
        guard let recorder else { return ["state": "off"] }
        let now = recorder.status
        return [
            "path": .string(recorder.configuration.path), "state": .string(now.state.rawValue),
            "problem": now.problem.map { .string($0) } ?? .null, "size_bytes": .integer(now.size),
            "first_seq": .integer(now.firstSequence), "last_seq": .integer(now.lastSequence),
            "pending": .integer(now.pending), "not_stored": .integer(now.notStored),
            "set_aside": now.setAside.map { .string($0) } ?? .null,
        ]
    }
}
