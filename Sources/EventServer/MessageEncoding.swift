extension ServerMessage {
    /// The message as one line of JSON with its newline.
    ///
    /// - Parameters:
    ///   - sequence: The message's number; nil leaves `seq` out (files have no stream).
    ///   - topCount: How many labels of `top` are written at most.
    package func line(sequence: Int64?, topCount: Int = .max) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("type", type.rawValue)
        if let sequence { writer.member("seq", sequence) }
        switch self {
        case .event(let message): message.write(to: &writer, topCount: topCount)
        case .gap(let message): message.write(to: &writer)
        case .source(let message): message.write(to: &writer)
        case .top(let message): message.write(to: &writer, topCount: topCount)
        }
        writer.endObject()
        writer.newline()
        return writer.bytes
    }
}

extension EventMessage {
    /// The event as one line of JSON with its newline, the same as subscribers get: for `earshot detect --jsonl`, where
    /// there is no `seq`.
    package func line(sequence: Int64? = nil) -> [UInt8] {
        ServerMessage.event(self).line(sequence: sequence)
    }

    fileprivate func write(to writer: inout JSONWriter, topCount: Int) {
        writer.member("event", event)
        writer.member("source", source)
        writer.member("label", label)
        writer.member("score", score, places: Precision.score)
        writer.member("onset", onset)
        writer.member("offset", offset)
        writer.member("onset_sample", onsetSample)
        writer.member("duration", duration, places: Precision.seconds)
        writer.member("level_dbfs", levelDecibels, places: Precision.level)
        writer.ranking(top.prefix(topCount))
    }
}

extension GapMessage {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.member("source", source)
        writer.member("from", from)
        writer.member("to", to)
        writer.member("from_sample", fromSample)
        writer.member("duration", duration, places: Precision.seconds)
        writer.member("reason", reason)
    }
}

extension SourceMessage {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.member("source", source)
        writer.member("state", state.rawValue)
        writer.member("time", time)
        if let reason { writer.member("reason", reason) } else { writer.member("reason", JSONValue.null) }
    }
}

extension TopMessage {
    fileprivate func write(to writer: inout JSONWriter, topCount: Int) {
        writer.member("source", source)
        writer.member("time", time)
        writer.member("sample", sample)
        writer.member("level_dbfs", levelDecibels, places: Precision.level)
        writer.ranking(top.prefix(topCount))
    }
}

/// A hole in what one client got, written in the place of the hole: `{"type":"lagged","missed":n,"resume":SEQ}`.
struct LaggedMessage: Sendable, Equatable {
    /// How many messages that the client had subscribed to were dropped.
    var missed: Int
    /// The number before the first dropped one: everything after it is what to ask for.
    var resume: Int64

    var line: [UInt8] {
        var writer = JSONWriter(capacity: 64)
        writer.beginObject()
        writer.member("type", "lagged")
        writer.member("missed", missed)
        writer.member("resume", resume)
        writer.endObject()
        writer.newline()
        return writer.bytes
    }
}

/// Digits after the point: what is meaningful, and short lines.
private enum Precision {
    static let score = 4
    static let seconds = 3
    static let level = 1
}

extension JSONWriter {
    fileprivate mutating func ranking(_ labels: ArraySlice<RankedLabel>) {
        name("top")
        beginArray()
        for ranked in labels {
            beginObject()
            member("label", ranked.label)
            member("score", ranked.score, places: Precision.score)
            endObject()
        }
        endArray()
    }
}
