import NIOCore
import NIOPosix

/// A connection to earshotd's event socket: sends requests, receives JSON lines.
package enum EventClient {
    /// Why a daemon could not be reached.
    package struct ConnectionError: Error, CustomStringConvertible {
        package let description: String
    }

    /// Connects, sends `requests` (one JSON object each, without the line feed), and hands over every line received.
    ///
    /// - Parameters:
    ///   - socketPath: The daemon's socket.
    ///   - requests: Sent in order as soon as the connection is up.
    ///   - receive: Called with each line (without its line feed), in order; returns false to close.
    /// - Throws: ``ConnectionError`` with one line that names the socket, where no daemon answers there.
    package static func run(
        socketPath: String, requests: [String], receive: @Sendable (String) async throws -> Bool
    ) async throws {
        let channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>
        do {
            channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connect(unixDomainSocketPath: socketPath) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try NIOAsyncChannel(wrappingChannelSynchronously: channel)
                    }
                }
        } catch {
            throw ConnectionError(
                description: "\(socketPath): no earshotd answers on this socket (\(reason(of: error))); "
                    + "start it, or name another with --socket")
        }
        try await channel.executeThenClose { inbound, outbound in
            if !requests.isEmpty {
                try await outbound.write(ByteBuffer(string: requests.map { $0 + "\n" }.joined()))
            }
            var pending = ByteBuffer()
            for try await var chunk in inbound {
                pending.writeBuffer(&chunk)
                while let end = pending.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
                    let line = pending.readString(length: end - pending.readerIndex) ?? ""
                    pending.moveReaderIndex(forwardBy: 1)
                    guard try await receive(line) else { return }
                }
                pending.discardReadBytes()
            }
        }
    }

    private static func reason(of error: any Error) -> String {
        if let error = error as? IOError { return String(describing: error) }
        return String(describing: error)
    }
}
