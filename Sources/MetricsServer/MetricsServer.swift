import EventServer
package import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix

/// Serves metrics to Prometheus: `GET /metrics` over HTTP, on a loopback address or a Unix socket.
///
/// One request per connection, a bounded number of connections, and a time limit on each from its first to its last
/// byte, whatever the client does.
package final class MetricsServer: Sendable {
    /// Where to listen.
    package enum Address: Sendable, Equatable, CustomStringConvertible {
        /// A literal address; port 0 takes any.
        case tcp(host: String, port: Int)
        /// A socket file with these rights; `group` by name or number, nil leaves the process's own.
        case unix(path: String, mode: UInt32, group: String?)
        /// A listening socket that the service manager made.
        case descriptor(CInt)

        package var description: String {
            switch self {
            case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
            case .unix(let path, _, _): path
            case .descriptor(let number): "descriptor \(number) of the service manager"
            }
        }
    }

    package struct Configuration: Sendable {
        package var address: Address
        /// Connections beyond these are closed at once.
        package var maximumConnections = 16
        /// A connection is closed after this time, answered or not.
        package var timeout = Duration.seconds(10)

        package init(address: Address) {
            self.address = address
        }
    }

    private struct Running: Sendable {
        let group: MultiThreadedEventLoopGroup
        let listener: any Channel
        let file: SocketFile?
    }

    private let configuration: Configuration
    private let collect: @Sendable () async -> [MetricFamily]
    private let logger: Logger
    private let running = NIOLockedValueBox<Running?>(nil)

    /// - Parameter collect: The metrics of now; called for each request.
    package init(
        _ configuration: Configuration, logger: Logger, collect: @escaping @Sendable () async -> [MetricFamily]
    ) {
        precondition(configuration.maximumConnections > 0 && configuration.timeout > .zero)
        self.configuration = configuration
        self.collect = collect
        self.logger = logger
    }

    /// The TCP port in use; nil where it is none or nothing runs.
    package var port: Int? { running.withLockedValue { $0?.listener.localAddress?.port } }

    /// Begins to listen. Call once.
    ///
    /// - Throws: ``MetricsServerError`` or `EventServerError`, one line that names the address.
    package func start() async throws {
        let (timeout, limit) = (TimeAmount(configuration.timeout), configuration.maximumConnections)
        let collect = collect
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let connections = NIOLoopBoundBox.makeBoxSendingValue(0, eventLoop: group.any())
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            // A client may say that its request is all it sends, and still waits for the answer.
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    connections.value += 1
                    channel.closeFuture.assumeIsolated().whenComplete { _ in connections.value -= 1 }
                    guard connections.value <= limit else { return channel.close(promise: nil) }
                    let deadline = channel.eventLoop.scheduleTask(in: timeout) { channel.close(promise: nil) }
                    channel.closeFuture.whenComplete { _ in deadline.cancel() }
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                    try channel.pipeline.syncOperations.addHandler(MetricsHandler(collect: collect))
                }
            }
        var file: SocketFile?
        do {
            let listener: any Channel
            switch configuration.address {
            case .tcp(let host, let port):
                listener = try await bootstrap.bind(to: SocketAddress(ipAddress: host, port: port)).get()
            case .unix(let path, let mode, let owner):
                let made = try SocketFile(path: path, mode: mode, group: owner)
                file = made
                listener = try await bootstrap.withBoundSocket(made.descriptor).get()
            case .descriptor(let number):
                listener = try await bootstrap.withBoundSocket(number).get()
            }
            running.withLockedValue { $0 = Running(group: group, listener: listener, file: file) }
        } catch {
            file?.remove()
            try? await group.shutdownGracefully()
            if error is EventServerError { throw error }
            throw MetricsServerError(description: "cannot serve metrics on \(configuration.address): \(error)")
        }
        logger.info("serving metrics", metadata: ["address": "\(configuration.address)"])
    }

    /// Closes the socket and all connections. Does nothing if not started.
    package func stop() async {
        let stopped = running.withLockedValue { $0.take() }
        guard let stopped else { return }
        stopped.file?.remove()
        try? await stopped.listener.close().get()
        // Closes what is still connected.
        try? await stopped.group.shutdownGracefully()
    }
}

/// Why metrics cannot be served; one line that names the address.
package struct MetricsServerError: Error, CustomStringConvertible {
    package let description: String
}
