import EventMessages
import Logging
import NIOCore

/// One client's connection: reads its requests, holds its subscription and what waits for it.
///
/// Nothing is read from a client that does not take its replies, so that what it can make the server hold is bounded:
/// the channel's 64 KiB and one reply, the queue, and one request line.
final class ClientHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let hub: Hub
    private var context: ChannelHandlerContext?
    private var number: Int?
    private let connected = Timestamp.now()
    private var framer: LineFramer
    private var queue: ClientQueue
    /// Set while the client gets what it asked for by `since`: live messages are not queued then, as they come from the
    /// history in their turn.
    private var replay: Replay?
    /// Of the requests that set or end a replay: a page that was read for another one is thrown away.
    private var replayNumber = 0
    private var isReadingHistory = false
    /// Nil after `unsubscribe`.
    private var subscription: Subscription? = Subscription(.everything)
    /// What `top` asked for.
    private var topRequest: (count: Int, sources: [Glob]?)?
    var wantsTop: Bool { topRequest != nil || subscription?.filter.types.contains(.top) == true }
    /// The peer will send nothing more; it may still read.
    private var isInputClosed = false
    private var isReadingPaused = false
    private var isHandling = false
    private var isPumping = false

    private var sent = 0
    private var missed = 0
    private var writtenByteCount = 0
    /// Bytes that the kernel had taken when progress was last looked at, and when it was last seen.
    private var takenByteCount = 0
    private var lastProgress = NIODeadline.now()

    init(hub: Hub) {
        self.hub = hub
        framer = LineFramer(maximumLength: hub.configuration.maximumLineLength)
        queue = ClientQueue(limit: hub.configuration.clientQueueLimit)
    }

    // MARK: Life

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        number = hub.add(self)
        guard number != nil else {
            let error = RequestError(
                .tooManyClients, "there are \(hub.configuration.maximumClients) clients already: try again later")
            write(error.line)
            context.flush()
            context.close(promise: nil)
            return
        }
        write(hub.hello())
        context.flush()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        queue.removeAll()
        if let number { hub.remove(number) }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        hub.logger.debug("client failed", metadata: ["client": "\(number ?? 0)", "error": "\(error)"])
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed {
            isInputClosed = true
            handleRequests()
        }
        context.fireUserInboundEventTriggered(event)
    }

    func close() {
        context?.close(promise: nil)
    }

    /// Sends what waits, however little the client takes, and closes when it is sent.
    func finish() {
        guard let context else { return }
        while let item = queue.next() { write(item) }
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in channel.close(promise: nil) }
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        guard number != nil else { return }
        framer.append(&bytes)
        handleRequests()
    }

    /// Does complete requests while the client takes the replies.
    private func handleRequests() {
        guard !isHandling, let context, number != nil else { return }
        isHandling = true
        defer { isHandling = false }
        while context.channel.isWritable {
            let line: LineFramer.Line
            if let next = framer.next() {
                line = next
            } else if isInputClosed, let rest = framer.remainder() {
                line = rest
            } else {
                break
            }
            if let reply = reply(to: line) { write(reply) }
            // Flushed at once if much has gathered: it may free the way for more.
            if !context.channel.isWritable { context.flush() }
        }
        context.flush()
        pump()
        updateReading()
    }

    private func reply(to line: LineFramer.Line) -> [UInt8]? {
        do throws(RequestError) {
            switch line {
            case .tooLong:
                let limit = hub.configuration.maximumLineLength
                throw RequestError(.lineTooLong, "the line is longer than \(limit) bytes; it was skipped")
            case .line(let bytes):
                // Empty lines do no harm; people press return.
                guard !bytes.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) else { return nil }
                let request = try Request(line: bytes)
                hub.counters.requests += 1
                do throws(RequestError) {
                    let reply: JSONValue = ["id": request.id, "result": try result(of: request.method)]
                    return reply.line
                } catch {
                    var error = error
                    error.id = request.id
                    throw error
                }
            }
        } catch {
            hub.counters.requests += 1
            hub.counters.requestErrors += 1
            return error.line
        }
    }

    private func result(of method: Request.Method) throws(RequestError) -> JSONValue {
        defer { hub.updateWantsTop() }
        switch method {
        case .subscribe(let filter, let since):
            try beginReplay(since: since)
            subscription = Subscription(filter)
            queue.retain { filter.matches($0) }
            return ["seq": .integer(hub.lastSequence)]
        case .unsubscribe:
            subscription = nil
            topRequest = nil
            endReplay()
            queue.removeAll()
            return ["seq": .integer(hub.lastSequence)]
        case .status(let withConnections):
            return hub.status(for: self, withConnections: withConnections)
        case .labels:
            return ["labels": .array(hub.providers.labels().map(\.json))]
        case .top(let count, let sources):
            topRequest = count > 0 ? (count, sources) : nil
            return ["k": .integer(count)]
        case .ping:
            return ["pong": true, "time": .string(Timestamp.now().description)]
        }
    }

    /// Reads on if the client takes its replies, else not.
    private func updateReading() {
        guard let context, !isInputClosed else { return }
        let mustPause = !context.channel.isWritable
        guard mustPause != isReadingPaused else { return }
        isReadingPaused = mustPause
        try? context.channel.syncOptions?.setOption(.autoRead, value: !mustPause)
    }

    // MARK: Messages

    /// Takes a message in if the client has subscribed to it.
    func enqueue(_ broadcast: Broadcast) {
        guard context != nil, replay == nil, subscription?.admits(broadcast.header) == true else { return }
        if queue.isFull { pump() }
        if queue.append(broadcast) { countMissed(1) }
    }

    /// Messages were lost before they came here; which ones the client had wanted is not known.
    func skip(count: Int, firstSequence: Int64) {
        guard context != nil, replay == nil, subscription != nil else { return }
        countMissed(queue.skip(count: count, firstSequence: firstSequence))
    }

    private func countMissed(_ count: Int) {
        if missed == 0 {
            hub.logger.info("client lags behind, messages are dropped", metadata: ["client": "\(number ?? 0)"])
        }
        missed += count
        hub.counters.missed += count
    }

    /// How many labels of a `top` message the client wants, nil if none.
    func topCount(for message: MessageHeader) -> Int? {
        if let topRequest, topRequest.sources?.contains(where: { $0.matches(message.source) }) ?? true {
            return topRequest.count
        }
        return subscription?.admits(message) == true ? SubscriptionFilter.defaultTopCount : nil
    }

    /// Sends a line that is of use only now: left out if others wait before it.
    func sendTop(_ line: ByteBuffer) {
        guard let context else { return }
        guard queue.isEmpty, replay == nil, context.channel.isWritable else {
            hub.counters.topSkipped += 1
            return
        }
        write(line)
        countSent()
    }

    /// Sends what waits, as far as the client takes it.
    func pump() {
        guard !isPumping, let context else { return }
        isPumping = true
        defer { isPumping = false }
        repeat {
            advanceReplay()
            while context.channel.isWritable, let item = queue.next() { write(item) }
            context.flush()
        } while context.channel.isWritable && (!queue.isEmpty || replay?.isPageEmpty == false)
    }

    // MARK: The past

    /// - Parameter since: The number after which to begin; nil begins with the present.
    private func beginReplay(since: Int64?) throws(RequestError) {
        if let since {
            guard hub.history != nil else {
                throw RequestError(.unsupported, "since needs the event store, which is off: leave it out", "since")
            }
            guard since <= hub.lastSequence else {
                throw RequestError(
                    .invalidParameters, "since \(since) is above the last number given out, \(hub.lastSequence)",
                    "since")
            }
        }
        endReplay()
        guard let since else { return }
        queue.removeAll()
        replay = Replay(after: since)
    }

    private func endReplay() {
        replayNumber += 1
        replay = nil
    }

    /// Writes what was read of the history as far as the client takes it, then has more read, or enters the present: as all
    /// happens on the event loop, no message can come between the last that was read and the first that is queued.
    private func advanceReplay() {
        guard let context else { return }
        while context.channel.isWritable, let item = replay?.next() {
            switch item {
            case .lost(let lagged): writeLost(lagged)
            case .message(let message):
                guard subscription?.admits(message.header) == true else { continue }
                write(ByteBuffer(bytes: message.line))
                hub.counters.replayed += 1
                countSent()
            }
        }
        guard let replay, replay.isPageEmpty, context.channel.isWritable else { return }
        if replay.position >= hub.lastSequence {
            endReplay()
        } else {
            readHistory(after: replay.position)
        }
    }

    private func readHistory(after position: Int64) {
        guard !isReadingHistory, let history = hub.history else { return }
        isReadingHistory = true
        let number = replayNumber
        let last = hub.lastSequence
        let handler = NIOLoopBound(self, eventLoop: history.eventLoop)
        history.messages(after: position, limit: Replay.pageLength).whenComplete { result in
            handler.value.takeHistory(result, for: number, upTo: last)
        }
    }

    /// - Parameter last: A number that had been given out before the history was read: what it does not have up to there is
    ///   not to be had.
    private func takeHistory(_ result: Result<[SequencedMessage], any Error>, for number: Int, upTo last: Int64) {
        isReadingHistory = false
        guard context != nil else { return }
        if number == replayNumber, replay != nil {
            // What the hub has not had yet will come from there.
            let messages = ((try? result.get()) ?? []).prefix { $0.sequence <= hub.lastSequence }
            if case .failure(let error) = result {
                hub.logger.error("the history cannot be read: \(error)", metadata: ["client": "\(self.number ?? 0)"])
            }
            replay?.take(messages)
            if messages.isEmpty, let lagged = replay?.skip(to: last) { writeLost(lagged) }
        }
        pump()
    }

    private func writeLost(_ lagged: LaggedMessage) {
        missed += lagged.missed
        hub.counters.missed += lagged.missed
        hub.counters.lagged += 1
        write(lagged.line)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { handleRequests() }
        context.fireChannelWritabilityChanged()
    }

    // MARK: Writing

    private func write(_ item: ClientQueue.Item) {
        switch item {
        case .lagged(let lagged):
            hub.counters.lagged += 1
            write(lagged.line)
        case .message(let broadcast):
            write(broadcast.line)
            countSent()
        }
    }

    private func countSent() {
        sent += 1
        hub.counters.sent += 1
    }

    private func write(_ bytes: [UInt8]) {
        write(ByteBuffer(bytes: bytes))
    }

    private func write(_ line: ByteBuffer) {
        guard let context else { return }
        writtenByteCount += line.readableBytes
        context.write(wrapOutboundOut(line), promise: nil)
    }

    private var bufferedByteCount: Int {
        (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    /// Closes the client if something waits for it and it has taken nothing for too long.
    func closeIfStalled(now: NIODeadline, timeout: TimeAmount) {
        guard let context else { return }
        let waiting = bufferedByteCount
        let taken = writtenByteCount - waiting
        if waiting == 0 || taken != takenByteCount {
            takenByteCount = taken
            lastProgress = now
        } else if now - lastProgress >= timeout {
            hub.counters.closedSlow += 1
            hub.logger.warning(
                "client closed, it does not read",
                metadata: ["client": "\(number ?? 0)", "missed": "\(missed)", "queued": "\(queue.count)"])
            context.close(promise: nil)
        }
    }

    var status: JSONValue {
        [
            "client": .integer(number ?? 0), "connected": .string(connected.description), "sent": .integer(sent),
            "missed": .integer(missed), "queued": .integer(queue.count), "replaying": .boolean(replay != nil),
            "buffered_bytes": .integer(bufferedByteCount), "half_closed": .boolean(isInputClosed),
        ]
    }
}
