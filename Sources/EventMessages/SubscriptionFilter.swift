/// Which messages a client wants; the parameters of `subscribe`.
///
/// A message must pass all conditions. A condition says nothing about messages that lack what it is about: `gap` and
/// `source` pass `labels` and `min_score`.
package struct SubscriptionFilter: Sendable, Equatable {
    /// Most labels that a `top` line carries.
    package static let maximumTopCount = 50
    package static let defaultTopCount = 5

    /// Patterns of labels; nil admits all, an empty list none.
    package var labels: [Glob]?
    /// Patterns of source names; nil admits all.
    package var sources: [Glob]?
    /// Events with a lower score are left out.
    package var minimumScore: Double?
    package var types: Set<MessageType>

    /// What a client gets that says nothing: everything but `top`.
    package static let everything = SubscriptionFilter()

    package init(
        labels: [Glob]? = nil, sources: [Glob]? = nil, minimumScore: Double? = nil,
        types: Set<MessageType> = SubscriptionFilter.defaultTypes
    ) {
        self.labels = labels
        self.sources = sources
        self.minimumScore = minimumScore
        self.types = types
    }

    package static let defaultTypes = Set(MessageType.allCases).subtracting([.top])

    /// Whether one message passes, by itself.
    package func matches(_ message: MessageHeader) -> Bool {
        guard matchesButForScore(message) else { return false }
        guard let event = message.event, let minimumScore else { return true }
        return event.score >= minimumScore
    }

    fileprivate func matchesButForScore(_ message: MessageHeader) -> Bool {
        guard types.contains(message.type) else { return false }
        if let sources, !sources.contains(where: { $0.matches(message.source) }) { return false }
        guard let event = message.event, let labels else { return true }
        return labels.contains { $0.matches(event.label) }
    }
}

/// A filter at work: remembers which events it has let in.
///
/// An event whose onset was sent is followed to its offset, whatever its later scores: no client waits for an end that
/// was filtered out.
package struct Subscription: Sendable {
    package let filter: SubscriptionFilter
    private var openEvents: Set<String> = []

    /// Events remembered at most, should offsets never come; beyond it is forgotten all.
    private static let memory = 16_384

    package init(_ filter: SubscriptionFilter) {
        self.filter = filter
    }

    /// Whether the message is for this client; to be asked in the order of the messages.
    package mutating func admits(_ message: MessageHeader) -> Bool {
        guard let event = message.event, filter.minimumScore != nil else { return filter.matches(message) }
        let isOpen = openEvents.contains(event.name)
        guard isOpen ? filter.matchesButForScore(message) : filter.matches(message) else { return false }
        if message.type == .offset {
            openEvents.remove(event.name)
        } else if !isOpen {
            if openEvents.count >= Subscription.memory { openEvents.removeAll() }
            openEvents.insert(event.name)
        }
        return true
    }
}
