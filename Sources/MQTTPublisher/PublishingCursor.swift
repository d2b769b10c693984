/// Where publishing stands: what is read from the log, on its way to the broker, and acknowledged by it.
///
/// Numbers go out in ascending order, at most `window` of them without an acknowledgement, which may come in any order.
struct PublishingCursor: Sendable {
    /// All messages up to this number are with the broker: where publishing goes on after a restart.
    private(set) var acknowledged: Int64
    /// The last number that was sent.
    private(set) var sent: Int64
    let window: Int
    /// Numbers without an acknowledgement, by the identifier that the broker acknowledges.
    private var outstanding: [Int32: Int64] = [:]

    /// - Parameter acknowledged: The last number that is done with; 0 if there is none.
    /// - Precondition: `window` is positive.
    init(acknowledged: Int64, window: Int) {
        precondition(window > 0)
        self.acknowledged = acknowledged
        self.window = window
        sent = acknowledged
    }

    /// How many more may be sent now.
    var room: Int { window - outstanding.count }

    /// - Precondition: `sequence` is higher than all before it.
    mutating func send(_ sequence: Int64, as identifier: Int32) {
        precondition(sequence > sent, "numbers ascend")
        sent = sequence
        outstanding[identifier] = sequence
    }

    /// Passes over a number that cannot be sent.
    mutating func skip(_ sequence: Int64) {
        precondition(sequence > sent, "numbers ascend")
        sent = sequence
        settle()
    }

    /// - Returns: false if the identifier is not one of a numbered message.
    mutating func acknowledge(_ identifier: Int32) -> Bool {
        guard outstanding.removeValue(forKey: identifier) != nil else { return false }
        settle()
        return true
    }

    /// The connection is lost, and what is not acknowledged is sent again.
    mutating func rewind() {
        outstanding.removeAll()
        sent = acknowledged
    }

    private mutating func settle() {
        acknowledged = max(acknowledged, (outstanding.values.min() ?? sent + 1) - 1)
    }
}
