package import EventMessages
package import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

#if canImport(Glibc)
    import Glibc
#endif

/// The daemon's second Unix socket: what changes the daemon, for root and the daemon's own user alone.
///
/// It speaks the protocol of the event socket with methods of its own, and sends nothing unasked but the hello. Requests
/// of a connection are carried out one after the other.
package final class ControlServer: Sendable {
    package struct Configuration: Sendable {
        package var socketPath: String
        /// A listening socket that the service manager made, used instead of a file of the server's own.
        package var passedDescriptor: CInt?
        /// Connections beyond these are closed at once.
        package var maximumClients = 8
        /// A connection on which nothing happens for so long is closed.
        package var idleTimeout = Duration.seconds(300)
        /// Besides root; the daemon's own user.
        package var allowedUser: UInt32 = geteuid()

        package init(socketPath: String) {
            self.socketPath = socketPath
        }
    }

    private typealias Connection = NIOAsyncChannel<ByteBuffer, ByteBuffer>

    private struct Running: Sendable {
        let group: MultiThreadedEventLoopGroup
        let file: SocketFile
        let task: Task<Void, Never>
    }

    /// Longest request line in bytes.
    private static let maximumLineLength = 64 * 1024

    private let configuration: Configuration
    private let hello: @Sendable () -> HelloInformation
    private let perform: @Sendable (ControlRequest) async throws -> JSONValue
    private let logger: Logger
    private let running = NIOLockedValueBox<Running?>(nil)
    private let clientCount = NIOLockedValueBox(0)

    /// - Parameters:
    ///   - hello: As on the event socket.
    ///   - perform: Carries out a request; what it returns is the reply's `result`. A ``ControlFailure`` and any other
    ///     error is told to the client as the reason why not.
    package init(
        _ configuration: Configuration, logger: Logger, hello: @escaping @Sendable () -> HelloInformation,
        perform: @escaping @Sendable (ControlRequest) async throws -> JSONValue
    ) {
        self.configuration = configuration
        self.hello = hello
        self.perform = perform
        self.logger = logger
    }

    /// Makes the socket file, 0600, and begins to accept. Call once.
    ///
    /// - Throws: ``EventServerError`` where the path cannot be used.
    package func start() async throws {
        let file =
            if let descriptor = configuration.passedDescriptor {
                try SocketFile(passed: descriptor)
            } else {
                try SocketFile(path: configuration.socketPath, mode: 0o600, group: nil)
            }
        let idle = TimeAmount(configuration.idleTimeout)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            let listener = try await ServerBootstrap(group: group)
                .childChannelOption(.allowRemoteHalfClosure, value: true)
                .bind(file.descriptor) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandlers([
                            IdleStateHandler(allTimeout: idle), IdleCloser(),
                        ])
                        return try Connection(wrappingChannelSynchronously: channel)
                    }
                }
            let task = Task { await accept(listener) }
            running.withLockedValue { $0 = Running(group: group, file: file, task: task) }
        } catch {
            file.remove()
            try? await group.shutdownGracefully()
            throw EventServerError("cannot serve control socket \(file.path): \(error)")
        }
        logger.info("control", metadata: ["socket": "\(file.path)"])
    }

    /// Removes the socket file and closes all connections. Does nothing if not started.
    package func stop() async {
        guard let stopped = running.withLockedValue({ $0.take() }) else { return }
        stopped.file.remove()
        stopped.task.cancel()
        await stopped.task.value
        try? await stopped.group.shutdownGracefully()
    }

    // MARK: Connections

    private func accept(_ listener: NIOAsyncChannel<Connection, Never>) async {
        try? await withThrowingDiscardingTaskGroup { clients in
            try await listener.executeThenClose { connections in
                for try await connection in connections {
                    clients.addTask { await self.serve(connection) }
                }
            }
        }
    }

    private func serve(_ connection: Connection) async {
        let count = clientCount.withLockedValue { count in
            count += 1
            return count
        }
        defer { clientCount.withLockedValue { $0 -= 1 } }
        // A client that goes away, or is closed for idleness, ends in an error that is of no interest.
        try? await connection.executeThenClose { inbound, outbound in
            if let refusal = try await refusal(of: connection.channel, count: count) {
                return try await outbound.write(ByteBuffer(bytes: refusal.line))
            }
            try await outbound.write(ByteBuffer(bytes: hello().line(sequence: nil)))
            var framer = LineFramer(maximumLength: Self.maximumLineLength)
            for try await var chunk in inbound {
                framer.append(&chunk)
                while let line = framer.next() { try await answer(line, outbound) }
            }
            if let line = framer.remainder() { try await answer(line, outbound) }
        }
    }

    /// Why this peer is not served; nil if it is.
    private func refusal(of channel: any Channel, count: Int) async throws -> RequestError? {
        guard count <= configuration.maximumClients else {
            return RequestError(.tooManyClients, "there are \(configuration.maximumClients) clients already")
        }
        guard let provider = channel as? any SocketOptionProvider else { preconditionFailure("not a socket") }
        let option = NIOBSDSocket.Option(rawValue: SO_PEERCRED)
        let peer: PeerCredentials = try await provider.unsafeGetSocketOption(level: .socket, name: option).get()
        guard peer.uid == 0 || peer.uid == configuration.allowedUser else {
            logger.warning(
                "control refused", metadata: ["user": "\(peer.uid)", "process": "\(peer.pid)"])
            return RequestError(
                .notPermitted, "only root and the daemon's own user (\(configuration.allowedUser)) may control it")
        }
        return nil
    }

    private func answer(
        _ line: LineFramer.Line, _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) async throws {
        if case .line(let bytes) = line, bytes.allSatisfy({ [0x20, 0x09, 0x0D].contains($0) }) { return }
        try await outbound.write(ByteBuffer(bytes: await reply(to: line)))
    }

    private func reply(to line: LineFramer.Line) async -> [UInt8] {
        let (request, id): (ControlRequest, JSONValue)
        do throws(RequestError) {
            guard case .line(let bytes) = line else {
                throw RequestError(.lineTooLong, "the line is longer than \(Self.maximumLineLength) bytes")
            }
            let line = try RequestLine(bytes)
            (request, id) = (try ControlRequest(line), line.id)
        } catch {
            return error.line
        }
        if request != .status { logger.notice("control: \(request.text)") }
        do {
            let reply: JSONValue = ["id": id, "result": try await perform(request)]
            return reply.line
        } catch let failure as ControlFailure {
            return RequestError(failure.field == nil ? .failed : .invalidParameters, failure.message, failure.field)
                .of(id).line
        } catch {
            return RequestError(.failed, "\(error)").of(id).line
        }
    }
}

extension ControlRequest {
    /// For the log.
    fileprivate var text: String {
        switch self {
        case .reload: "reload"
        case .setThreshold(let label, let on): "threshold of \(label) is \(on)"
        case .mute(let labels, let seconds): "mute \(labels) for \(seconds) s"
        case .unmute(let labels): "unmute \(labels ?? "all")"
        case .status: "status"
        }
    }
}

/// What `SO_PEERCRED` gives, `struct ucred` of unix(7): Glibc's module does not have it.
private struct PeerCredentials: Sendable {
    let pid: Int32
    let uid: UInt32
    let gid: UInt32
}

/// Closes a connection on which nothing happens.
private final class IdleCloser: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent { return context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }
}
