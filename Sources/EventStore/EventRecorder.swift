import Dispatch
package import EventMessages
package import Logging
import NIOConcurrencyHelpers

/// Numbers messages, stores them, and only then hands them on.
///
/// ``record(_:)`` is called by the threads that detect: it takes a number and a place in a bounded queue. One serial
/// dispatch queue takes all that has come since, commits it in one transaction and hands it on. While the store cannot be
/// written, messages are handed on all the same and wait in a bounded backlog until there is room again.
package final class EventRecorder: Sendable {
    private struct Shared {
        var lastSequence: Int64
        var queue: [(message: ServerMessage, sequence: Int64)] = []
        /// Taken from the queue and not yet stored.
        var underWay = 0
        var isScheduled = false
        var isClosed = false
        /// Ascending, all above what the store has.
        var backlog: ArraySlice<SequencedMessage> = []
        var store: EventStore?
        var status = Status()
    }

    package let configuration: EventStore.Configuration
    private let limits: Limits
    private let limit: SequenceLimit
    private let logger: Logger
    private let deliver: @Sendable ([SequencedMessage]) -> Void
    private let worker = DispatchQueue(label: "earshot.store")
    /// Not a `Mutex`: Thread Sanitizer does not see that one.
    private let shared: NIOLockedValueBox<Shared>

    /// Opens the store. One that is damaged is set aside and a new one begun; where there is no room, opening is tried again
    /// later.
    ///
    /// - Parameter deliver: Called on the recorder's queue, in order of the numbers, with what is stored (or cannot be).
    /// - Throws: ``EventStoreError`` of kind `unusable` or `newer`.
    package init(
        _ configuration: EventStore.Configuration, limits: Limits = Limits(), logger: Logger,
        deliver: @escaping @Sendable ([SequencedMessage]) -> Void
    ) throws {
        self.configuration = configuration
        self.limits = limits
        self.logger = logger
        self.deliver = deliver
        try EventStore.prepareFile(configuration.path)
        limit = try SequenceLimit(storePath: configuration.path)
        shared = NIOLockedValueBox(Shared(lastSequence: 0))
        try openStore()
        var stored: Int64 = 0
        do {
            stored = try store?.reader.lastSequence() ?? 0
        } catch {
            _ = fail(error)
        }
        let known = limit.read()
        // A store that ends so far below the limit is not the one that the last numbers went to.
        let isComplete = store != nil && !known.isAhead && stored >= known.limit - SequenceLimit.block
        shared.withLockedValue { $0.lastSequence = isComplete ? stored : max(stored, known.limit) }
        refreshFigures()
        schedulePruning()
        checkStore()
        if store == nil { scheduleRetry() }
    }

    /// The number last given out.
    package var lastSequence: Int64 { shared.withLockedValue { $0.lastSequence } }

    package var status: Status {
        shared.withLockedValue { shared in
            var status = shared.status
            status.pending = shared.queue.count + shared.underWay + shared.backlog.count
            return status
        }
    }

    /// Numbers the message and leaves it for the store. From any thread; never waits for the disk.
    package func record(_ message: ServerMessage) {
        let mustSchedule = shared.withLockedValue { shared in
            guard !shared.isClosed else { return false }
            shared.lastSequence += 1
            guard shared.queue.count < limits.queue else {
                shared.status.notStored += 1
                return false
            }
            shared.queue.append((message, shared.lastSequence))
            defer { shared.isScheduled = true }
            return !shared.isScheduled
        }
        if mustSchedule { worker.async { self.drain() } }
    }

    /// Ends events that a daemon that was killed had left open: with the last that is known of each, for the reason
    /// `restart`. To be called once, before anything is recorded.
    package func endOpenEvents() {
        guard let store, let open = try? store.reader.openEvents() else { return }
        for message in open {
            guard var event = try? EventMessage(line: message.line) else { continue }
            event.kind = .offset
            event.offset = Timestamp(
                millisecondsSinceEpoch: event.onset.millisecondsSinceEpoch + Int64((event.duration * 1000).rounded()))
            event.reason = "restart"
            record(.event(event))
        }
    }

    /// Stores and hands on what is left, and closes the store. Blocks.
    package func close() {
        worker.sync {
            drain()
            if !shared.withLockedValue({ $0.backlog.isEmpty }) { storeBacklog() }
            let store = shared.withLockedValue { shared in
                shared.isClosed = true
                return shared.store.take()
            }
            try? store?.close()
            limit.unlock()
        }
    }

    private var store: EventStore? { shared.withLockedValue { $0.store } }

    // MARK: Storing; on the worker alone

    private func drain() {
        while true {
            var taken = shared.withLockedValue { shared in
                defer { shared.queue = [] }
                shared.underWay = shared.queue.count
                if shared.queue.isEmpty { shared.isScheduled = false }
                return shared.queue[...]
            }
            if taken.isEmpty { return }
            while !taken.isEmpty {
                let batch = taken.prefix(limits.batch)
                taken = taken.dropFirst(batch.count)
                handle(batch.map { SequencedMessage($0.message, sequence: $0.sequence) })
            }
        }
    }

    private func handle(_ messages: [SequencedMessage]) {
        guard let last = messages.last?.sequence else { return }
        let isStored = store(messages)
        shared.withLockedValue { $0.underWay -= messages.count }
        if !isStored { wait(messages) }
        cover(SequenceLimit.Content(limit: last, isAhead: !isStored))
        deliver(messages)
    }

    /// - Returns: Whether they are stored.
    private func store(_ messages: [SequencedMessage]) -> Bool {
        guard shared.withLockedValue({ $0.backlog.isEmpty }), let store else { return false }
        do {
            try store.append(messages)
        } catch {
            guard fail(error), let store = self.store, (try? store.append(messages)) != nil else { return false }
        }
        refreshFigures(last: messages.last?.sequence)
        makeRoom()
        return true
    }

    /// Keeps messages for when there is room.
    private func wait(_ messages: [SequencedMessage]) {
        let (isFirst, dropped) = shared.withLockedValue { shared in
            let isFirst = shared.backlog.isEmpty
            shared.backlog += messages
            let excess = max(0, shared.backlog.count - limits.backlog)
            if excess > 0 { shared.backlog = ArraySlice(Array(shared.backlog.dropFirst(excess))) }
            shared.status.notStored += excess
            return (isFirst, excess)
        }
        if dropped > 0 { logger.debug("the backlog is full", metadata: ["not_stored": "\(dropped)"]) }
        if isFirst { scheduleRetry() }
    }

    /// Stores what waits, oldest first.
    private func storeBacklog() {
        if store == nil {
            do { try openStore() } catch { _ = fail(error) }
        }
        guard let store else { return }
        while true {
            let batch = shared.withLockedValue { Array($0.backlog.prefix(limits.batch)) }
            guard let last = batch.last?.sequence else { break }
            do {
                try store.append(batch)
            } catch {
                _ = fail(error)
                return
            }
            // Only now: readers find each message in the store or here.
            shared.withLockedValue { $0.backlog = $0.backlog.drop { $0.sequence <= last } }
            refreshFigures(last: last)
            makeRoom()
        }
        cover(SequenceLimit.Content(limit: lastStored, isAhead: false))
        recover()
    }

    private var lastStored: Int64 { shared.withLockedValue { $0.status.lastSequence } }

    private func recover() {
        let (before, notStored) = shared.withLockedValue { shared in
            defer {
                shared.status.state = .ok
                shared.status.problem = nil
            }
            return (shared.status.state, shared.status.notStored)
        }
        guard before != .ok else { return }
        logger.notice(
            "events are stored again", metadata: ["store": "\(configuration.path)", "not_stored": "\(notStored)"])
    }

    private func scheduleRetry() {
        worker.asyncAfter(deadline: .now() + limits.retryInterval.dispatchInterval) { [weak self] in
            guard let self, !shared.withLockedValue({ $0.isClosed }) else { return }
            storeBacklog()
            if status.state != .ok { scheduleRetry() }
        }
    }

    /// Keeps the file with the limit true; written when the numbers pass it, or its state changes.
    private func cover(_ content: SequenceLimit.Content) {
        let known = limit.read()
        guard content.limit > known.limit || content.isAhead != known.isAhead else { return }
        do {
            try limit.write(
                .init(limit: max(known.limit, content.limit + SequenceLimit.block), isAhead: content.isAhead))
        } catch {
            logger.debug("\(error)")
        }
    }

    // MARK: Failure

    /// Notes why storing has failed, once; sets a damaged store aside.
    ///
    /// - Returns: Whether there is a new store to try again with.
    private func fail(_ error: any Error) -> Bool {
        let error = EventStoreError(error, path: configuration.path)
        if error.kind == .damaged, replaceDamaged(error) { return true }
        let state: State = error.kind == .full ? .full : .failed
        let isNews = shared.withLockedValue { shared in
            defer {
                shared.status.state = state
                shared.status.problem = error.description
            }
            return shared.status.state != state
        }
        if isNews { logger.error("events are not stored, but still sent: \(error)") }
        return false
    }

    private func replaceDamaged(_ error: EventStoreError) -> Bool {
        do {
            let old = shared.withLockedValue { $0.store.take() }
            try? old?.close()
            let name = try EventStore.setAside(path: configuration.path)
            let new = try EventStore(configuration)
            shared.withLockedValue { shared in
                shared.store = new
                shared.status.setAside = name
            }
            logger.critical(
                "the event store was damaged and a new one is begun",
                metadata: ["kept_as": "\(name)", "error": "\(error)"])
            refreshFigures()
            return true
        } catch {
            logger.critical("the event store is damaged and could not be replaced: \(error)")
            return false
        }
    }

    /// - Throws: ``EventStoreError`` of kind `unusable` or `newer`; others leave the recorder without a store for now.
    private func openStore() throws {
        do {
            let store = try EventStore(configuration)
            shared.withLockedValue { $0.store = store }
        } catch let error as EventStoreError where error.kind == .unusable || error.kind == .newer {
            throw error
        } catch {
            _ = fail(error)
        }
    }

    /// Looks for damage that nothing has met yet, beside everything else.
    private func checkStore() {
        guard let store else { return }
        DispatchQueue.global(qos: .utility).async { [weak self] in
            guard !store.reader.isIntact(), let self else { return }
            worker.async {
                guard self.store === store else { return }
                _ = self.fail(
                    EventStoreError(.damaged, "\(self.configuration.path): the check at the start found damage"))
            }
        }
    }

    // MARK: Retention

    private func schedulePruning() {
        worker.asyncAfter(deadline: .now() + limits.pruneInterval.dispatchInterval) { [weak self] in
            guard let self, !shared.withLockedValue({ $0.isClosed }) else { return }
            prune()
            schedulePruning()
        }
    }

    private func makeRoom() {
        if (try? store?.isTooLarge()) == true { prune() }
    }

    private func prune() {
        do {
            let removed = try store?.prune() ?? 0
            if removed > 0 { logger.debug("removed old messages from the store", metadata: ["count": "\(removed)"]) }
        } catch {
            _ = fail(error)
            if shared.withLockedValue({ $0.backlog.isEmpty }) { scheduleRetry() }
        }
        refreshFigures()
    }

    /// - Parameter last: The last number stored, where it is known.
    private func refreshFigures(last: Int64? = nil) {
        guard let store else { return }
        let size = store.size
        let first = (try? store.reader.firstSequence()) ?? 0
        let last = last ?? (try? store.reader.lastSequence()) ?? 0
        shared.withLockedValue { shared in
            shared.status.size = size
            shared.status.firstSequence = first
            shared.status.lastSequence = last
        }
    }
}

extension EventRecorder: EventHistory {
    /// From the store, and after it from what waits for room. Blocks; from any thread.
    package func messages(after sequence: Int64, limit: Int) throws -> [SequencedMessage] {
        // First what waits: it may be stored in the meantime, and would be in neither the other way round.
        let (waiting, store) = shared.withLockedValue { shared in
            (Array(shared.backlog.drop { $0.sequence <= sequence }.prefix(limit)), shared.store)
        }
        let stored = try store?.reader.messages(after: sequence, limit: limit) ?? []
        return stored.isEmpty ? waiting : stored
    }
}

extension Duration {
    fileprivate var dispatchInterval: DispatchTimeInterval {
        .nanoseconds(Int(clamping: components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000))
    }
}
