import EventMessages
import Logging
import NIOCore
import Synchronization

/// All clients, on the event loop: spreads messages, answers what concerns more than one client, watches for stalls.
///
/// Lives on one event loop and is not to be touched from elsewhere.
final class Hub {
    let configuration: EventServer.Configuration
    let providers: EventServer.Providers
    /// Nil where nothing is stored.
    let history: History?
    let mailbox: Mailbox
    let logger: Logger
    private let eventLoop: any EventLoop
    private var clients: [Int: ClientHandler] = [:]
    private var lastClientNumber = 0
    private var timer: RepeatedTask?
    private var emptied: EventLoopPromise<Void>?
    var counters = Counters()
    /// The number of the last message that has come here. A client that comes now gets those after it; numbers given to
    /// messages still in the mailbox are higher.
    private(set) var lastSequence: Int64

    /// Totals since the start, over all clients that ever were.
    struct Counters {
        var accepted = 0
        /// Turned away because there were too many.
        var refused = 0
        /// Closed because they took nothing for too long.
        var closedSlow = 0
        /// Holes reported by `lagged`.
        var lagged = 0
        /// Messages that some client missed.
        var missed = 0
        /// Messages that were lost to all clients because the event loop was behind.
        var handOverDropped = 0
        /// `top` lines left out for clients that were behind.
        var topSkipped = 0
        /// Messages written to clients.
        var sent = 0
        /// Those of them that came from the history.
        var replayed = 0
        var requests = 0
        var requestErrors = 0
    }

    init(
        configuration: EventServer.Configuration, providers: EventServer.Providers, history: History?, mailbox: Mailbox,
        logger: Logger, eventLoop: any EventLoop
    ) {
        self.configuration = configuration
        self.providers = providers
        self.history = history
        self.mailbox = mailbox
        self.logger = logger
        self.eventLoop = eventLoop
        lastSequence = mailbox.open()
    }

    var isFinishing: Bool { emptied != nil }

    // MARK: Clients

    /// - Returns: The client's number, nil if it is one too many.
    func add(_ client: ClientHandler) -> Int? {
        guard clients.count < configuration.maximumClients, !isFinishing else {
            counters.refused += 1
            logger.warning(
                "client refused", metadata: ["maximum_clients": "\(configuration.maximumClients)"])
            return nil
        }
        counters.accepted += 1
        lastClientNumber += 1
        clients[lastClientNumber] = client
        logger.debug("client connected", metadata: ["client": "\(lastClientNumber)", "clients": "\(clients.count)"])
        return lastClientNumber
    }

    func remove(_ number: Int) {
        guard clients.removeValue(forKey: number) != nil else { return }
        updateWantsTop()
        logger.debug("client gone", metadata: ["client": "\(number)", "clients": "\(clients.count)"])
        if clients.isEmpty { emptied?.succeed() }
    }

    /// To be called when some client's wish for `top` may have changed.
    func updateWantsTop() {
        mailbox.wantsTop.store(clients.values.contains(where: \.wantsTop), ordering: .relaxed)
    }

    // MARK: Messages

    func deliverMail() {
        let entries = mailbox.take()
        // Clients may go while they are written to.
        let clients = Array(self.clients.values)
        for entry in entries {
            switch entry {
            case .numbered(let message):
                reportHole(before: message.sequence, to: clients)
                lastSequence = message.sequence
                let broadcast = Broadcast(message)
                for client in clients { client.enqueue(broadcast) }
            case .top(let top):
                deliverTop(.top(top), to: clients)
            }
        }
        for client in clients { client.pump() }
    }

    /// Numbers that never came here: the messages were dropped on the way, and all clients are told.
    private func reportHole(before sequence: Int64, to clients: [ClientHandler]) {
        let count = Int(clamping: sequence - lastSequence - 1)
        guard count > 0 else { return }
        counters.handOverDropped += count
        logger.warning("event loop behind, messages lost", metadata: ["count": "\(count)"])
        for client in clients { client.skip(count: count, firstSequence: lastSequence + 1) }
    }

    private func deliverTop(_ message: ServerMessage, to clients: [ClientHandler]) {
        let header = message.header
        var lines: [Int: ByteBuffer] = [:]
        for client in clients {
            guard let count = client.topCount(for: header) else { continue }
            let line = lines[count] ?? ByteBuffer(bytes: message.line(sequence: nil, topCount: count))
            lines[count] = line
            client.sendTop(line)
        }
    }

    // MARK: Replies

    /// The line that a new client gets first.
    func hello() -> [UInt8] {
        providers.hello().line(sequence: lastSequence)
    }

    /// The daemon's state with the server's.
    func status() -> JSONValue {
        var members: [JSONValue.Member] = []
        if case .object(let provided) = providers.status() { members = provided }
        members.append(JSONValue.Member("server", serverStatus))
        return .object(members)
    }

    func status(for client: ClientHandler, withConnections: Bool) -> JSONValue {
        guard case .object(var members) = status() else { return .null }
        members.append(JSONValue.Member("client", client.status))
        if withConnections {
            let all = clients.sorted { $0.key < $1.key }.map(\.value.status)
            members.append(JSONValue.Member("connections", .array(all)))
        }
        return .object(members)
    }

    private var serverStatus: JSONValue {
        [
            "socket": .string(configuration.socketPath), "seq": .integer(lastSequence),
            "clients": .integer(clients.count), "maximum_clients": .integer(configuration.maximumClients),
            "accepted": .integer(counters.accepted), "refused": .integer(counters.refused),
            "closed_slow": .integer(counters.closedSlow), "lagged": .integer(counters.lagged),
            "missed": .integer(counters.missed), "hand_over_dropped": .integer(counters.handOverDropped),
            "top_skipped": .integer(counters.topSkipped), "sent": .integer(counters.sent),
            "replayed": .integer(counters.replayed), "requests": .integer(counters.requests),
            "request_errors": .integer(counters.requestErrors),
        ]
    }

    // MARK: Time

    /// Looks after stalled clients, several times per timeout.
    func startTimer() {
        let timeout = TimeAmount(configuration.stallTimeout)
        let interval = TimeAmount.nanoseconds(min(max(timeout.nanoseconds / 8, 5_000_000), 5_000_000_000))
        let hub = NIOLoopBound(self, eventLoop: eventLoop)
        timer = eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            let now = NIODeadline.now()
            for client in Array(hub.value.clients.values) { client.closeIfStalled(now: now, timeout: timeout) }
        }
    }

    /// Sends what is left, then closes all clients; those that do not read are closed when the time is over.
    func finish() -> EventLoopFuture<Void> {
        let emptied = eventLoop.makePromise(of: Void.self)
        deliverMail()
        timer?.cancel()
        self.emptied = emptied
        guard !clients.isEmpty else {
            emptied.succeed()
            return emptied.futureResult
        }
        let deadline = eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(configuration.stopTimeout)) {
            for client in Array(self.clients.values) { client.close() }
        }
        for client in Array(clients.values) { client.finish() }
        emptied.futureResult.whenComplete { _ in deadline.cancel() }
        return emptied.futureResult
    }
}
