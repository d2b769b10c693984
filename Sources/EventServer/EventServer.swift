package import EventMessages
package import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Synchronization

/// The daemon's Unix socket: sends each message to all clients that want it and answers their requests.
///
/// One event loop on one thread does all of it. ``publish(_:)`` hands over from any thread and never waits; each
/// client's queue is bounded, and a client that stops reading is told what it missed or is closed.
package final class EventServer: Sendable {
    package struct Configuration: Sendable, Equatable {
        package var socketPath: String
        /// A listening socket that the service manager made, used instead of a file of the server's own; then the path
        /// is only a name for messages, and mode and group are the manager's.
        package var passedDescriptor: CInt?
        /// Rights of the socket file.
        package var mode: UInt32 = 0o660
        /// Group of the socket file, by name or number; nil leaves the daemon's own.
        package var group: String?
        /// Longest request line in bytes, without its newline.
        package var maximumLineLength = 64 * 1024
        /// Messages that wait for one client at most, besides some 64 KiB that are on their way.
        package var clientQueueLimit = 1024
        /// A client that takes nothing for so long while something waits for it is closed.
        package var stallTimeout = Duration.seconds(30)
        package var maximumClients = 256
        /// Messages on their way from ``EventServer/publish(_:)`` to the event loop at most; then the oldest is lost to
        /// all clients, and they are told.
        package var handOverLimit = 4096
        /// How long ``EventServer/stop()`` waits for clients to take what is left.
        package var stopTimeout = Duration.seconds(1)
        /// Number of the first message.
        package var firstSequence: Int64 = 1
        /// Kernel buffer per client in bytes; nil leaves the system's.
        package var sendBufferSize: Int?

        package init(socketPath: String) {
            self.socketPath = socketPath
        }
    }

    /// What the server asks the daemon. Called on the event loop for each request: they must answer from memory at
    /// once, from any thread.
    package struct Providers: Sendable {
        package var hello: @Sendable () -> HelloInformation
        /// An object; the server adds its own `server` and `client` members.
        package var status: @Sendable () -> JSONValue
        package var labels: @Sendable () -> [LabelSummary]

        package init(
            hello: @escaping @Sendable () -> HelloInformation, status: @escaping @Sendable () -> JSONValue,
            labels: @escaping @Sendable () -> [LabelSummary]
        ) {
            self.hello = hello
            self.status = status
            self.labels = labels
        }
    }

    /// What runs while the server is started.
    private struct Running: Sendable {
        let group: MultiThreadedEventLoopGroup
        let listener: any Channel
        let hub: NIOLoopBound<Hub>
        let file: SocketFile
        let history: History?
    }

    private enum State: Sendable {
        case initial
        case starting
        case running(Running)
        case stopped
    }

    package let configuration: Configuration
    private let providers: Providers
    private let history: (any EventHistory)?
    private let logger: Logger
    private let mailbox: Mailbox
    private let state = NIOLockedValueBox(State.initial)

    /// - Parameter history: What `since` replays; without one such requests are refused.
    /// - Precondition: All limits are positive.
    package init(
        configuration: Configuration, providers: Providers, history: (any EventHistory)? = nil,
        logger: Logger = Logger(label: "earshot.server")
    ) {
        precondition(configuration.maximumLineLength > 0 && configuration.maximumClients > 0)
        precondition(configuration.stallTimeout > .zero)
        self.configuration = configuration
        self.providers = providers
        self.history = history
        self.logger = logger
        mailbox = Mailbox(limit: configuration.handOverLimit, firstSequence: configuration.firstSequence)
    }

    /// The number last given to a message; `firstSequence - 1` before the first.
    package var lastSequence: Int64 { mailbox.lastSequence }

    /// Whether any client gets `top` messages: else there is no need to rank labels for them. From any thread, at the
    /// cost of one load; follows a client's request before that is answered.
    package var wantsTop: Bool { mailbox.wantsTop.load(ordering: .relaxed) }

    /// Makes the socket file and begins to accept. Call once.
    ///
    /// - Throws: ``EventServerError`` where the path cannot be used, such as one that another daemon listens on.
    package func start() async throws {
        state.withLockedValue { state in
            guard case .initial = state else { preconditionFailure("a server is started once") }
            state = .starting
        }
        let file: SocketFile
        do {
            file =
                if let descriptor = configuration.passedDescriptor {
                    try SocketFile(passed: descriptor)
                } else {
                    try SocketFile(
                        path: configuration.socketPath, mode: configuration.mode, group: configuration.group)
                }
        } catch {
            state.withLockedValue { $0 = .stopped }
            throw error
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let eventLoop = group.any()
        let past = history.map { History(source: $0, readers: NIOThreadPool(numberOfThreads: 2), eventLoop: eventLoop) }
        past?.readers.start()
        do {
            let hub = try await eventLoop.submit { [configuration, providers, mailbox, logger] in
                let hub = Hub(
                    configuration: configuration, providers: providers, history: past, mailbox: mailbox, logger: logger,
                    eventLoop: eventLoop)
                return NIOLoopBound(hub, eventLoop: eventLoop)
            }.get()
            var bootstrap = ServerBootstrap(group: group)
                .serverChannelOption(.maxMessagesPerRead, value: 16)
                .childChannelOption(.allowRemoteHalfClosure, value: true)
                .childChannelOption(.maxMessagesPerRead, value: 1)
                .childChannelOption(
                    .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 512, initial: 1024, maximum: 16_384)
                )
                .childChannelOption(.writeBufferWaterMark, value: .init(low: 32 * 1024, high: 64 * 1024))
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(ClientHandler(hub: hub.value))
                    }
                }
            if let size = configuration.sendBufferSize {
                bootstrap = bootstrap.childChannelOption(.socketOption(.so_sndbuf), value: size)
            }
            let listener = try await bootstrap.withBoundSocket(file.descriptor).get()
            try await eventLoop.submit { hub.value.startTimer() }.get()
            state.withLockedValue {
                $0 = .running(
                    Running(group: group, listener: listener, hub: hub, file: file, history: past))
            }
            // What was published before the state said so has told nobody.
            eventLoop.execute { hub.value.deliverMail() }
        } catch {
            mailbox.close()
            file.remove()
            try? await past?.readers.shutdownGracefully()
            try? await group.shutdownGracefully()
            state.withLockedValue { $0 = .stopped }
            throw EventServerError("cannot serve socket \(configuration.socketPath): \(error)")
        }
        logger.info("listening", metadata: ["socket": "\(file.path)"])
    }

    /// Numbers the message and sends it to all clients that want it. From any thread; never waits.
    ///
    /// - Returns: Its number, nil for `top`.
    @discardableResult
    package func publish(_ message: ServerMessage) -> Int64? {
        let (sequence, mustNotify) = mailbox.put(message)
        if mustNotify { notify() }
        return sequence
    }

    /// Sends messages that have their numbers already to all clients that want them. From one thread at a time; never
    /// waits. A number left out is a message lost, and clients are told so.
    ///
    /// - Precondition: Numbers ascend, from `firstSequence` on; ``publish(_:)-(ServerMessage)`` is used for `top` alone then.
    package func publish(_ messages: some Sequence<SequencedMessage>) {
        if mailbox.put(messages) { notify() }
    }

    private func notify() {
        guard case .running(let running) = state.withLockedValue({ $0 }) else { return }
        running.hub.eventLoop.execute { running.hub.value.deliverMail() }
    }

    /// What the method `status` answers but for the part about the client; nil while the server does not run.
    package func status() async -> JSONValue? {
        guard case .running(let running) = state.withLockedValue({ $0 }) else { return nil }
        return try? await running.hub.eventLoop.submit { running.hub.value.status() }.get()
    }

    /// Removes the socket file, sends what is left to clients that read, and closes. Does nothing if not started.
    package func stop() async {
        let running: Running? = state.withLockedValue { state in
            guard case .running(let running) = state else { return nil }
            state = .stopped
            return running
        }
        guard let running else { return }
        mailbox.close()
        running.file.remove()
        try? await running.listener.close().get()
        try? await running.hub.eventLoop.flatSubmit { running.hub.value.finish() }.get()
        try? await running.history?.readers.shutdownGracefully()
        try? await running.group.shutdownGracefully()
        logger.info("closed", metadata: ["socket": "\(configuration.socketPath)"])
    }
}
