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
    package func matches(_ message: ServerMessage) -> Bool {
        guard matchesButForScore(message) else { return false }
        guard case .event(let event) = message, let minimumScore else { return true }
        return event.score >= minimumScore
    }

    fileprivate func matchesButForScore(_ message: ServerMessage) -> Bool {
        guard types.contains(message.type) else { return false }
        if let sources, !sources.contains(where: { $0.matches(message.source) }) { return false }
        guard case .event(let event) = message, let labels else { return true }
        return labels.contains { $0.matches(event.label) }
    }
}

/// A filter at work: remembers which events it has let in.
///
/// An event whose onset was sent is followed to its offset, whatever its later scores: no client waits for an end that
/// was filtered out.
struct Subscription {
    let filter: SubscriptionFilter
    private var openEvents: Set<String> = []

    /// Events remembered at most, should offsets never come; beyond it is forgotten all.
    private static let memory = 16_384

    init(_ filter: SubscriptionFilter) {
        self.filter = filter
    }

    mutating func admits(_ message: ServerMessage) -> Bool {
        guard case .event(let event) = message, filter.minimumScore != nil else { return filter.matches(message) }
        let isOpen = openEvents.contains(event.event)
        guard isOpen ? filter.matchesButForScore(message) : filter.matches(message) else { return false }
        if event.kind == .offset {
            openEvents.remove(event.event)
        } else if !isOpen {
            if openEvents.count >= Subscription.memory { openEvents.removeAll() }
            openEvents.insert(event.event)
        }
        return true
    }
}
