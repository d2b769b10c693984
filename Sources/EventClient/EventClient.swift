import FoundationEssentials
import Glibc
import NIOCore
import NIOPosix

/// A connection to earshotd's event socket: sends requests, receives JSON lines.
package enum EventClient {
    /// Why a daemon could not be reached or understood; one line that names the socket.
    package struct ConnectionError: Error, CustomStringConvertible {
        package let description: String
    }

    /// Connects, waits for the daemon's hello, sends `requests` (one JSON object each, without the line feed), and hands
    /// over every line received, the hello first.
    ///
    /// - Parameters:
    ///   - socketPath: The daemon's socket.
    ///   - requests: Sent in order once the daemon has greeted.
    ///   - maximumLineLength: In bytes; a longer line is an error.
    ///   - receive: Called with each line (without its line feed), in order; returns false to close.
    /// - Returns: True if `receive` ended it, false if the daemon closed the connection.
    /// - Throws: ``ConnectionError``, `CancellationError`, and what `receive` throws.
    @discardableResult
    package static func run(
        socketPath: String, requests: [String], maximumLineLength: Int = 4 << 20,
        receive: @Sendable (String) async throws -> Bool
    ) async throws -> Bool {
        let channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>
        do {
            channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connect(unixDomainSocketPath: socketPath) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try NIOAsyncChannel(wrappingChannelSynchronously: channel)
                    }
                }
        } catch {
            throw ConnectionError(description: "\(socketPath): \(advice(on: error))")
        }
        return try await channel.executeThenClose { inbound, outbound in
            var lines = Lines(
                chunks: inbound.makeAsyncIterator(), maximumLength: maximumLineLength, socketPath: socketPath)
            guard let greeting = try await lines.next() else {
                throw ConnectionError(description: "\(socketPath): the connection was closed at once; try again")
            }
            if let problem = problem(with: greeting) {
                throw ConnectionError(description: "\(socketPath): \(problem)")
            }
            guard try await receive(greeting) else { return true }
            // Where the daemon is gone by now, the next line says so.
            try? await outbound.write(ByteBuffer(string: requests.map { $0 + "\n" }.joined()))
            while let line = try await lines.next() {
                guard try await receive(line) else { return true }
            }
            try Task.checkCancellation()
            return false
        }
    }

    /// Why the connection failed and what to do about it.
    static func advice(on error: any Error) -> String {
        if let error = error as? SocketAddressError, case .unixDomainSocketPathTooLong = error {
            return "this path is too long for a socket; name another with --socket"
        }
        guard let code = (error as? IOError)?.errnoCode else { return "cannot connect: \(error)" }
        let start = "start earshotd (systemctl start earshotd), or name its socket with --socket"
        return switch code {
        case ENOENT: "there is no such socket; \(start)"
        case ECONNREFUSED: "no earshotd listens on this socket; \(start)"
        case EACCES:
            "you may not use this socket; use sudo, or for the event socket join its group (sudo usermod -aG earshot "
                + "USER) and log in again"
        default: "cannot connect: \(String(cString: strerror(code)))"
        }
    }

    /// What speaks against going on after the first line; nil for a daemon's hello.
    private static func problem(with greeting: String) -> String? {
        struct Greeting: Decodable {
            struct Problem: Decodable { let message: String }
            let type: String?
            let error: Problem?
        }
        // With the space: the decoder traps on a text that ends with the 513th opening bracket.
        let greeting = try? JSONDecoder().decode(Greeting.self, from: Data((greeting + " ").utf8))
        if let error = greeting?.error { return "earshotd refuses: \(error.message)" }
        return greeting?.type == "hello" ? nil : "what answers on this socket is not earshotd"
    }
}

/// The lines of a byte stream.
private struct Lines {
    var chunks: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    /// In bytes, without the line feed.
    let maximumLength: Int
    let socketPath: String
    var pending = ByteBuffer()

    /// The next line without its line feed; nil at the end, where a line that was cut off is left out.
    mutating func next() async throws -> String? {
        while true {
            let end = pending.readableBytesView.firstIndex(of: UInt8(ascii: "\n"))
            guard (end ?? pending.writerIndex) - pending.readerIndex <= maximumLength else {
                throw EventClient.ConnectionError(
                    description:
                        "\(socketPath): a line of more than \(maximumLength) bytes has come; this is not earshotd")
            }
            if let end {
                let line = pending.readString(length: end - pending.readerIndex)
                pending.moveReaderIndex(forwardBy: 1)
                return line
            }
            pending.discardReadBytes()
            do {
                guard var chunk = try await chunks.next() else { return nil }
                pending.writeBuffer(&chunk)
            } catch is IOError {
                return nil
            }
        }
    }
}
