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
        guard types.contains(message.type) else { return false }
        if let sources, !sources.contains(where: { $0.matches(message.source) }) { return false }
        guard case .event(let event) = message else { return true }
        if let minimumScore, !(event.score >= minimumScore) { return false }
        if let labels, !labels.contains(where: { $0.matches(event.label) }) { return false }
        return true
    }
}

/// A filter at work: remembers what names it has judged, and which events it has let in.
///
/// An event whose onset was sent is followed to its offset, whatever its later scores: no client waits for an end that
/// was filtered out.
struct Subscription {
    let filter: SubscriptionFilter
    private var labelVerdicts: [String: Bool] = [:]
    private var sourceVerdicts: [String: Bool] = [:]
    private var openEvents: Set<String> = []

    /// Names and events remembered at most; beyond it is forgotten all (it only saves work).
    private static let memory = 16_384

    init(_ filter: SubscriptionFilter) {
        self.filter = filter
    }

    mutating func admits(_ message: ServerMessage) -> Bool {
        guard filter.types.contains(message.type) else { return false }
        guard Subscription.verdict(on: message.source, patterns: filter.sources, &sourceVerdicts) else { return false }
        guard case .event(let event) = message else { return true }
        guard Subscription.verdict(on: event.label, patterns: filter.labels, &labelVerdicts) else { return false }
        guard let minimumScore = filter.minimumScore else { return true }
        let isOpen = openEvents.contains(event.event)
        guard isOpen || event.score >= minimumScore else { return false }
        if event.kind == .offset {
            openEvents.remove(event.event)
        } else if !isOpen {
            if openEvents.count >= Subscription.memory { openEvents.removeAll() }
            openEvents.insert(event.event)
        }
        return true
    }

    private static func verdict(on name: String, patterns: [Glob]?, _ verdicts: inout [String: Bool]) -> Bool {
        guard let patterns else { return true }
        if let verdict = verdicts[name] { return verdict }
        if verdicts.count >= memory { verdicts.removeAll() }
        let verdict = patterns.contains { $0.matches(name) }
        verdicts[name] = verdict
        return verdict
    }
}
