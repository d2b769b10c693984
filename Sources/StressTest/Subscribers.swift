import ArgumentParser
import Foundation
import NIOCore
import NIOPosix

/// The clients' side of `load`, in a process of its own: those that read check every number and take the time, those that
/// are stalled never read, and come again when the server has closed them.
struct Subscribers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Subscribes many times; used by load.", shouldDisplay: false)

    @Option var socket: String
    @Option var live: Int
    @Option var stalled: Int

    /// What the process prints when all that read were closed by the server, as a line of JSON.
    struct Summary: Codable {
        /// Messages that a client got, the least and the most.
        var leastReceived = Int.max
        var mostReceived = 0
        var received = 0
        /// Numbers that a client did not get, or out of order.
        var holes = 0
        /// `lagged` lines and anything else that no client that reads should get.
        var unexpected = 0
        var stalledConnections = 0
        var medianDelay = 0.0
        var delay99 = 0.0
        var delay999 = 0.0
        var longestDelay = 0.0
    }

    func run() async throws {
        raiseDescriptorLimit()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.any()
        let path = socket
        let ready = loop.makePromise(of: Void.self)
        let ended = loop.makePromise(of: Void.self)
        let tally = try await loop.submit { [live] in
            NIOLoopBound(Tally(clients: live, ready: ready, ended: ended), eventLoop: loop)
        }.get()
        // One after the other: the server's backlog is short.
        for _ in 0..<live {
            _ = try await ClientBootstrap(group: group)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(LiveSubscriber(tally: tally.value))
                    }
                }
                .connect(unixDomainSocketPath: path).get()
        }
        for _ in 0..<stalled { try await Self.stall(path, group, tally).get() }
        try await ready.futureResult.get()
        print("ready")
        fflush(nil)
        try await ended.futureResult.get()
        let summary = try await loop.submit { tally.value.finished() }.get()
        print(String(decoding: try JSONEncoder().encode(summary), as: UTF8.self))
    }

    /// Connects without ever reading; again a second after it was closed.
    private static func stall(
        _ path: String, _ group: MultiThreadedEventLoopGroup, _ tally: NIOLoopBound<Tally>
    ) -> EventLoopFuture<Void> {
        ClientBootstrap(group: group)
            .channelOption(.autoRead, value: false)
            .connect(unixDomainSocketPath: path)
            .map { channel in
                tally.value.summary.stalledConnections += 1
                channel.closeFuture.whenComplete { _ in
                    channel.eventLoop.scheduleTask(in: .seconds(1)) { _ = stall(path, group, tally) }
                }
            }
    }
}

/// What all clients have seen, on their event loop.
private final class Tally {
    var summary = Subscribers.Summary()
    var delays = DelayHistogram()
    private var greetingsLeft: Int
    private var clientsLeft: Int
    private let ready: EventLoopPromise<Void>
    private let ended: EventLoopPromise<Void>

    /// - Parameters:
    ///   - clients: How many read.
    ///   - ready: Succeeds when all of them have been greeted.
    ///   - ended: Succeeds when all of them have been closed.
    init(clients: Int, ready: EventLoopPromise<Void>, ended: EventLoopPromise<Void>) {
        greetingsLeft = clients
        clientsLeft = clients
        self.ready = ready
        self.ended = ended
    }

    func greeted() {
        greetingsLeft -= 1
        if greetingsLeft == 0 { ready.succeed() }
    }

    func closed() {
        clientsLeft -= 1
        if clientsLeft == 0 { ended.succeed() }
    }

    func finished() -> Subscribers.Summary {
        summary.medianDelay = delays.quantile(0.5)
        summary.delay99 = delays.quantile(0.99)
        summary.delay999 = delays.quantile(0.999)
        summary.longestDelay = delays.maximum
        return summary
    }
}

/// One client that reads.
private final class LiveSubscriber: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let tally: Tally
    private var pending = ByteBuffer()
    /// The number before the next; nil before the hello.
    private var last: Int64?
    private var received = 0

    init(tally: Tally) { self.tally = tally }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let now = monotonicNanoseconds()
        var bytes = unwrapInboundIn(data)
        pending.writeBuffer(&bytes)
        while let end = pending.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
            let length = end - pending.readerIndex
            pending.readWithUnsafeReadableBytes { buffer in
                take(UnsafeRawBufferPointer(rebasing: buffer[..<length]), now: now)
                return length + 1
            }
        }
        if pending.readableBytes == 0 { pending.clear() }
    }

    private func take(_ line: UnsafeRawBufferPointer, now: Int64) {
        guard let number = integer(after: "\"seq\":", in: line) else {
            tally.summary.unexpected += 1
            return
        }
        guard let last else {
            last = number
            tally.greeted()
            return
        }
        if number != last + 1 { tally.summary.holes += 1 }
        self.last = number
        received += 1
        if let published = integer(after: "\"event\":\"load-", in: line) {
            tally.delays.add(nanoseconds: now - published)
        } else {
            tally.summary.unexpected += 1
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        tally.summary.received += received
        tally.summary.leastReceived = min(tally.summary.leastReceived, received)
        tally.summary.mostReceived = max(tally.summary.mostReceived, received)
        tally.closed()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        tally.summary.unexpected += 1
        context.close(promise: nil)
    }

    /// A decimal number after the first place where `key` stands.
    private func integer(after key: StaticString, in line: UnsafeRawBufferPointer) -> Int64? {
        let count = key.utf8CodeUnitCount
        guard line.count > count else { return nil }
        for start in 0..<(line.count - count) where memcmp(line.baseAddress! + start, key.utf8Start, count) == 0 {
            var value: Int64 = 0
            for byte in line[(start + count)...] {
                guard (48...57).contains(byte) else { break }
                value = value * 10 + Int64(byte - 48)
            }
            return value
        }
        return nil
    }
}
