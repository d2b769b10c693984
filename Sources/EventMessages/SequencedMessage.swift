/// What filters and the event store look at in a message.
package struct MessageHeader: Sendable, Equatable {
    /// The event that an `onset`, `update` or `offset` is about.
    package struct Event: Sendable, Equatable {
        /// The same in all messages of one event; unique over restarts.
        package var name: String
        package var label: String
        /// In 0...1, the event's best so far.
        package var score: Double
        package var onset: Timestamp

        package init(name: String, label: String, score: Double, onset: Timestamp) {
            self.name = name
            self.label = label
            self.score = score
            self.onset = onset
        }
    }

    package var type: MessageType
    package var source: String
    /// Nil for `gap`, `source` and `top`.
    package var event: Event?

    package init(type: MessageType, source: String, event: Event? = nil) {
        self.type = type
        self.source = source
        self.event = event
    }
}

extension ServerMessage {
    package var header: MessageHeader {
        var header = MessageHeader(type: type, source: source)
        if case .event(let event) = self {
            header.event = .init(name: event.event, label: event.label, score: event.score, onset: event.onset)
        }
        return header
    }
}

/// A message with its number, written once: what is stored and what every client gets are these bytes.
package struct SequencedMessage: Sendable, Equatable {
    /// At least 1; one more than that of the message before.
    package let sequence: Int64
    package let header: MessageHeader
    /// The line of JSON that clients get, with its newline.
    package let line: [UInt8]

    /// - Precondition: `message` is not a `top`, which has no number.
    package init(_ message: ServerMessage, sequence: Int64) {
        precondition(message.isSequenced, "top messages have no number")
        self.init(sequence: sequence, header: message.header, line: message.line(sequence: sequence))
    }

    /// A message that was written before.
    package init(sequence: Int64, header: MessageHeader, line: [UInt8]) {
        self.sequence = sequence
        self.header = header
        self.line = line
    }
}
