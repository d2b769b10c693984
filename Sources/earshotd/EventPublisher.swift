import DaemonConfiguration
import EventMessages
import EventServer
import EventStore
import Logging
import MQTTPublisher
import Synchronization

/// The way of a message from the threads that detect to the clients: numbered, stored, sent.
///
/// Without a store the server numbers messages and nothing is kept.
final class EventPublisher: Sendable {
    let server: EventServer
    /// Nil where nothing is stored.
    let recorder: EventRecorder?
    /// Nil where no broker is configured.
    let mqtt: MQTTPublisher?

    /// Opens the store; the socket is not open yet.
    ///
    /// - Parameters:
    ///   - mqtt: The broker that messages are published to as well, and what it is told of this daemon.
    /// - Throws: `EventStoreError`, `MQTTError`, or ``ConfigurationProblem`` for a broker without a store.
    init(
        store: EventStore.Configuration?, socket: EventServer.Configuration, providers: EventServer.Providers,
        mqtt: (settings: MQTTSettings, description: PublishedDescription)?, logger: Logger
    ) throws {
        let outlet = Outlet()
        recorder = try store.map { store in
            try EventRecorder(store, logger: logger) { messages in
                outlet.server.withLock { $0 }?.publish(messages)
                outlet.mqtt.withLock { $0 }?.notify()
            }
        }
        var socket = socket
        if let recorder { socket.firstSequence = recorder.lastSequence + 1 }
        server = EventServer(configuration: socket, providers: providers, history: recorder, logger: logger)
        outlet.server.withLock { [server] in $0 = server }
        self.mqtt = try mqtt.map { [recorder] in
            try MQTTPublisher($0.settings, recorder: recorder, description: $0.description, logger: logger)
        }
        outlet.mqtt.withLock { [mqtt = self.mqtt] in $0 = mqtt }
    }

    /// What the recorder hands to; it is there before the server.
    private final class Outlet: Sendable {
        let server = Mutex<EventServer?>(nil)
        let mqtt = Mutex<MQTTPublisher?>(nil)
    }

    /// Ends what an earlier run left open, then opens the socket.
    func start() async throws {
        recorder?.endOpenEvents()
        try await server.start()
        // Only now: a second daemon, which ends here, must not take the first one's place at the broker.
        mqtt?.start()
    }

    /// Stores and sends what is left, then closes both.
    func stop() async {
        // While the store can still be read.
        if let mqtt { await offPool { _ = mqtt.stop() } }
        if let recorder { await offPool { recorder.close() } }
        await server.stop()
    }

    /// From any thread; never waits for the disk or a client.
    func publish(_ message: ServerMessage) {
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
