import EventMessages

/// A hole in what one client got, written in the place of the hole: `{"type":"lagged","missed":n,"resume":SEQ,"lost":…}`.
struct LaggedMessage: Sendable, Equatable {
    /// How many messages that the client had subscribed to were dropped.
    var missed: Int
    /// The number before the first dropped one: everything after it is what to ask for.
    var resume: Int64
    /// Whether asking again is of no use: the messages are not in the store.
    var isLost = false

    var line: [UInt8] {
        let value: JSONValue = [
            "type": "lagged", "missed": .integer(missed), "resume": .integer(resume), "lost": .boolean(isLost),
        ]
        return value.line
    }
}
