/// One line of an event's life: its onset as soon as that is sure, updates while it lasts, its offset.
///
/// Written as `{"type":"onset","seq":…,"event":…,"source":…,"label":…,"score":…,"onset":…,"offset":…,"onset_sample":…,
/// "duration":…,"level_dbfs":…,"top":[…]}`, and `"reason"` where there is one.
package struct EventMessage: Sendable, Equatable {
    package enum Kind: String, Sendable {
        case onset, update, offset
    }

    package var kind: Kind
    /// The same for the onset, the updates and the offset of one event; unique over restarts.
    package var event: String
    package var source: String
    package var label: String
    /// In 0...1, the event's best so far.
    package var score: Double
    package var onset: Timestamp
    /// Nil until the event has ended.
    package var offset: Timestamp?
    /// The onset on the source's sample clock: samples since it was opened, at the model's rate.
    package var onsetSample: Int64
    /// Seconds from the onset to the offset, or to now while it lasts.
    package var duration: Double
    /// Level of the audio in dB relative to full scale; nil where it is not known.
    package var levelDecibels: Double?
    /// What else scored at that moment, best first.
    package var top: [RankedLabel]
    /// Why an event ended that was not heard to its end, such as `restart`; nil for all others.
    package var reason: String?

    package init(
        kind: Kind, event: String, source: String, label: String, score: Double, onset: Timestamp,
        offset: Timestamp? = nil, onsetSample: Int64, duration: Double, levelDecibels: Double? = nil,
        top: [RankedLabel] = []
    ) {
        self.kind = kind
        self.event = event
        self.source = source
        self.label = label
        self.score = score
        self.onset = onset
        self.offset = offset
        self.onsetSample = onsetSample
        self.duration = duration
        self.levelDecibels = levelDecibels
        self.top = top
    }
}

/// A label and its score, as an element of `top`: `{"label":"dog","score":0.83}`.
package struct RankedLabel: Sendable, Equatable {
    package var label: String
    /// In 0...1.
    package var score: Double

    package init(label: String, score: Double) {
        self.label = label
        self.score = score
    }
}

/// Audio of a source that was not heard: `{"type":"gap","seq":…,"source":…,"from":…,"to":…,"from_sample":…,
/// "duration":…,"reason":…}`.
package struct GapMessage: Sendable, Equatable {
    package var source: String
    package var from: Timestamp
    package var to: Timestamp
    /// First lost sample on the source's sample clock.
    package var fromSample: Int64
    /// Seconds lost.
    package var duration: Double
    /// Such as `overrun` or `overload`.
    package var reason: String

    package init(
        source: String, from: Timestamp, to: Timestamp, fromSample: Int64, duration: Double, reason: String
    ) {
        self.source = source
        self.from = from
        self.to = to
        self.fromSample = fromSample
        self.duration = duration
        self.reason = reason
    }
}

/// A source's state has changed: `{"type":"source","seq":…,"source":…,"state":"down","time":…,"reason":…}`.
package struct SourceMessage: Sendable, Equatable {
    package enum State: String, Sendable {
        /// Opened, audio flows.
        case up
        /// Failed or ended; the reason says which.
        case down
        /// Audio flows again after a failure or silence.
        case recovered
        /// The device delivers, but only digital silence or a constant.
        case silent
    }

    package var source: String
    package var state: State
    package var time: Timestamp
    /// One line for people; nil where there is nothing to say.
    package var reason: String?

    package init(source: String, state: State, time: Timestamp, reason: String? = nil) {
        self.source = source
        self.state = state
        self.time = time
        self.reason = reason
    }
}

/// What a source sounds like in one step: `{"type":"top","source":…,"time":…,"sample":…,"level_dbfs":…,"top":[…]}`.
///
/// Live only: it has no sequence number, and a client that does not read fast enough does not get it later.
package struct TopMessage: Sendable, Equatable {
    package var source: String
    package var time: Timestamp
    /// End of the step on the source's sample clock.
    package var sample: Int64
    package var levelDecibels: Double?
    /// Best first. Each subscriber gets the first k of them, so give as many as anyone may ask for
    /// (``SubscriptionFilter/maximumTopCount``).
    package var top: [RankedLabel]

    package init(source: String, time: Timestamp, sample: Int64, levelDecibels: Double? = nil, top: [RankedLabel]) {
        self.source = source
        self.time = time
        self.sample = sample
        self.levelDecibels = levelDecibels
        self.top = top
    }
}

/// What the daemon tells its clients unasked.
package enum ServerMessage: Sendable, Equatable {
    case event(EventMessage)
    case gap(GapMessage)
    case source(SourceMessage)
    case top(TopMessage)

    /// The value of the message's `type`, which `subscribe` selects by.
    package var type: MessageType {
        switch self {
        case .event(let message):
            switch message.kind {
            case .onset: .onset
            case .update: .update
            case .offset: .offset
            }
        case .gap: .gap
        case .source: .source
        case .top: .top
        }
    }

    package var source: String {
        switch self {
        case .event(let message): message.source
        case .gap(let message): message.source
        case .source(let message): message.source
        case .top(let message): message.source
        }
    }

    /// Whether the message gets a sequence number: all do but `top`.
    package var isSequenced: Bool { type != .top }
}

/// The types of message that a client can select.
package enum MessageType: String, Sendable, CaseIterable {
    case onset, update, offset, gap, source, top
}
