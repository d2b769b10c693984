extension ServerMessage {
    /// The message as one line of JSON with its newline.
    ///
    /// - Parameters:
    ///   - sequence: The message's number; nil leaves `seq` out.
    ///   - topCount: How many labels of `top` are written at most.
    package func line(sequence: Int64?, topCount: Int = .max) -> [UInt8] {
        var members: [JSONValue.Member] = [.init("type", .string(type.rawValue))]
        if let sequence { members.append(.init("seq", .integer(sequence))) }
        switch self {
        case .event(let message): members += message.members(topCount: topCount)
        case .gap(let message): members += message.members
        case .source(let message): members += message.members
        case .top(let message): members += message.members(topCount: topCount)
        }
        return JSONValue.object(members).line
    }
}

extension EventMessage {
    fileprivate func members(topCount: Int) -> [JSONValue.Member] {
        [
            .init("event", .string(event)),
            .init("source", .string(source)),
            .init("label", .string(label)),
            .init("score", .decimal(score, places: Precision.score)),
            .init("onset", .string(onset.description)),
            .init("offset", offset.map { .string($0.description) } ?? .null),
            .init("onset_sample", .integer(onsetSample)),
            .init("duration", .decimal(duration, places: Precision.seconds)),
            .init("level_dbfs", .decimal(levelDecibels, places: Precision.level)),
            .init("top", .ranking(top.prefix(topCount))),
        ] + (reason.map { [.init("reason", .string($0))] } ?? [])
    }
}

extension GapMessage {
    fileprivate var members: [JSONValue.Member] {
        [
            .init("source", .string(source)),
            .init("from", .string(from.description)),
            .init("to", .string(to.description)),
            .init("from_sample", .integer(fromSample)),
            .init("duration", .decimal(duration, places: Precision.seconds)),
            .init("reason", .string(reason)),
        ]
    }
}

extension SourceMessage {
    fileprivate var members: [JSONValue.Member] {
        [
            .init("source", .string(source)),
            .init("state", .string(state.rawValue)),
            .init("time", .string(time.description)),
            .init("reason", reason.map { .string($0) } ?? .null),
        ]
    }
}

extension TopMessage {
    fileprivate func members(topCount: Int) -> [JSONValue.Member] {
        [
            .init("source", .string(source)),
            .init("time", .string(time.description)),
            .init("sample", .integer(sample)),
            .init("level_dbfs", .decimal(levelDecibels, places: Precision.level)),
            .init("top", .ranking(top.prefix(topCount))),
        ]
    }
}

/// Digits after the point: what is meaningful, and short lines.
private enum Precision {
    static let score = 4
    static let seconds = 3
    static let level = 1
}

extension JSONValue {
    fileprivate static func ranking(_ labels: ArraySlice<RankedLabel>) -> JSONValue {
        .array(
            labels.map { ["label": .string($0.label), "score": .decimal($0.score, places: Precision.score)] })
    }
}
