import EventMessages
import Logging
import NIOConcurrencyHelpers

/// What the publisher's thread does: connects, sends from where the last acknowledgement was, and begins again when the
/// connection is lost.
final class PublishingLoop: @unchecked Sendable {
    // Used by one thread after it was handed to it: no lock.
    private let publisher: MQTTPublisher
    private let configuration: MQTTConfiguration
    private let topics: Topics
    private let position: PositionFile?
    private var cursor: PublishingCursor
    private var savedPosition: Int64
    private var nextSave = ContinuousClock.now
    private var retryDelay: Duration
    /// The last message about each source's state, for a broker that has forgotten it.
    private var sourceStates: [String: SequencedMessage] = [:]
    private var hadConnection = false
    private var loggedProblem: String?

    init(_ publisher: MQTTPublisher) {
        self.publisher = publisher
        configuration = publisher.configuration
        topics = Topics(base: configuration.topic)
        position = configuration.positionPath.map(PositionFile.init)
        retryDelay = configuration.firstRetryDelay
        let saved = position?.read()
        // The first time, the past is not published. A number beyond the last is of another log.
        let start = saved.map { $0 > publisher.firstPosition ? 0 : $0 } ?? publisher.firstPosition
        cursor = PublishingCursor(acknowledged: start, window: configuration.window)
        savedPosition = saved ?? -1
        publisher.state.withLockedValue { $0.status.acknowledged = start }
        save()
    }

    func run() {
        while stopLimit == nil {
            if let problem = connectAndPublish() {
                report(problem)
                pause()
            }
        }
        save()
    }

    private var stopLimit: ContinuousClock.Instant? { publisher.state.withLockedValue { $0.stopLimit } }

    /// - Returns: Why there is no connection any more; nil when the daemon stops.
    private func connectAndPublish() -> String? {
        let connection: MQTTConnection
        do throws(MQTTError) {
            connection = try MQTTConnection(configuration, will: (topics.availability, "offline"))
            try connection.open(configuration)
        } catch {
            return error.description
        }
        defer {
            cursor.rewind()
            publisher.state.withLockedValue { $0.status.isConnected = false }
        }
        let answerLimit = ContinuousClock.now + configuration.answerTimeout
        var isAccepted = false
        while true {
            let ready = publisher.wait(
                descriptor: connection.descriptor, forWriting: connection.wantsToWrite, limit: .milliseconds(500))
            connection.work(canRead: ready.canRead, canWrite: ready.canWrite)
            for event in connection.takeEvents() {
                switch event {
                case .accepted:
                    isAccepted = true
                    accepted(connection)
                case .refused(let reason), .lost(let reason): return reason
                case .acknowledged(let identifier): acknowledged(identifier)
                case .message(let topic, let isEmpty): found(topic, isEmpty: isEmpty, on: connection)
                }
            }
            if isAccepted {
                if takeDescriptionChange() { announce(on: connection) }
                publishNext(on: connection)
            } else if .now > answerLimit {
                return "\(configuration.host):\(configuration.port): no answer from the broker"
            }
            if .now > nextSave { save() }
            if let limit = stopLimit, !isAccepted || publisher.pending == 0 || .now > limit {
                sayGoodbye(connection, isAccepted: isAccepted)
                return nil
            }
        }
    }

    // MARK: On a connection

    private func accepted(_ connection: MQTTConnection) {
        retryDelay = configuration.firstRetryDelay
        loggedProblem = nil
        let isFirst = !hadConnection
        hadConnection = true
        publisher.state.withLockedValue { state in
            state.status.isConnected = true
            state.status.problem = nil
            if !isFirst { state.status.reconnects += 1 }
        }
        publisher.logger.info(
            "publishing by MQTT",
            metadata: ["broker": "\(configuration.host):\(configuration.port)", "pending": "\(publisher.pending)"])
        announce(on: connection)
        for message in sourceStates.values { _ = send(message, on: connection) }
        publish(Array("online".utf8), to: topics.availability, on: connection)
        if let discovery { connection.subscribe(discovery.filter) }
    }

    private var discovery: HomeAssistantDiscovery? {
        configuration.discoveryPrefix.map { prefix in
            HomeAssistantDiscovery(
                description: publisher.state.withLockedValue { $0.description }, prefix: prefix, topics: topics)
        }
    }

    private func takeDescriptionChange() -> Bool {
        publisher.state.withLockedValue { state in
            defer { state.descriptionChanged = false }
            return state.descriptionChanged
        }
    }

    private func announce(on connection: MQTTConnection) {
        guard let discovery else { return }
        for (topic, payload) in discovery.configurations { publish(payload, to: topic, on: connection) }
        // The broker answers with what is there, and `found` removes what is no more.
        connection.subscribe(discovery.filter)
    }

    /// A discovery topic of this daemon that the broker has.
    private func found(_ topic: String, isEmpty: Bool, on connection: MQTTConnection) {
        guard !isEmpty, let discovery, !discovery.configurations.contains(where: { $0.topic == topic }) else { return }
        publish([], to: topic, on: connection)
    }

    private func publish(_ payload: [UInt8], to topic: String, on connection: MQTTConnection) {
        do throws(MQTTError) {
            _ = try connection.publish(payload, to: topic, isRetained: true)
        } catch {
            report(error.description)
        }
    }

    /// Sends as much as the window has room for.
    private func publishNext(on connection: MQTTConnection) {
        guard cursor.room > 0, publisher.log.lastSequence() > cursor.sent else { return }
        let messages: [SequencedMessage]
        do {
            messages = try publisher.log.messages(cursor.sent, cursor.room)
        } catch {
            return report("the event store: \(error)")
        }
        for message in messages {
            let missing = message.sequence - cursor.sent - 1
            if missing > 0 { publisher.state.withLockedValue { $0.status.expired += Int(missing) } }
            if message.header.type == .source { sourceStates[message.header.source] = message }
            switch send(message, on: connection) {
            case .sent(let identifier): cursor.send(message.sequence, as: identifier)
            case .refused:
                publisher.state.withLockedValue { $0.status.refused += 1 }
                cursor.skip(message.sequence)
            case .lost: return
            }
        }
    }

    private enum Sending {
        case sent(Int32)
        case refused
        case lost
    }

    private func send(_ message: SequencedMessage, on connection: MQTTConnection) -> Sending {
        do throws(MQTTError) {
            let identifier = try connection.publish(
                message.payload, to: topics.topic(of: message.header), isRetained: message.header.type == .source)
            return identifier.map { .sent($0) } ?? .lost
        } catch {
            report(error.description)
            return .refused
        }
    }

    private func acknowledged(_ identifier: Int32) {
        guard cursor.acknowledge(identifier) else { return }
        publisher.state.withLockedValue { state in
            state.status.published += 1
            state.status.acknowledged = cursor.acknowledged
        }
    }

    private func sayGoodbye(_ connection: MQTTConnection, isAccepted: Bool) {
        if isAccepted { publish(Array("offline".utf8), to: topics.availability, on: connection) }
        connection.close()
        // Both are small; what the kernel does not take at once has this long.
        let limit = ContinuousClock.now + .milliseconds(500)
        while connection.descriptor >= 0, connection.wantsToWrite, .now < limit {
            let ready = publisher.wait(descriptor: connection.descriptor, forWriting: true, limit: .milliseconds(50))
            connection.work(canRead: ready.canRead, canWrite: ready.canWrite)
        }
    }

    // MARK: Between connections

    private func pause() {
        let end = ContinuousClock.now + retryDelay
        retryDelay = min(retryDelay * 2, configuration.longestRetryDelay)
        while stopLimit == nil, .now < end {
            _ = publisher.wait(descriptor: -1, forWriting: false, limit: min(end - .now, .milliseconds(500)))
        }
    }

    private func report(_ problem: String) {
        publisher.state.withLockedValue { $0.status.problem = problem }
        // Once, not at each attempt.
        guard problem != loggedProblem else { return }
        loggedProblem = problem
        publisher.logger.warning("MQTT: \(problem)")
    }

    /// Writes down the position if it has changed, once a second: after a kill, what was acknowledged since is sent again.
    private func save() {
        nextSave = .now + .seconds(1)
        guard let position, cursor.acknowledged != savedPosition else { return }
        do throws(MQTTError) {
            try position.write(cursor.acknowledged)
            savedPosition = cursor.acknowledged
        } catch {
            report(error.description)
        }
    }
}

extension SequencedMessage {
    /// The line that clients of the socket get, without its newline; an event has its type also as `event_type`, which
    /// Home Assistant looks for.
    var payload: [UInt8] {
        let object = line.last == UInt8(ascii: "\n") ? line.dropLast() : line[...]
        guard header.event != nil else { return Array(object) }
        return Array("{\"event_type\":\"\(header.type.rawValue)\",".utf8) + object.dropFirst()
    }
}
