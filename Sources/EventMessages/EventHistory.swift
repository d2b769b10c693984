/// Messages that were sent before, for clients that ask for them by `since`.
package protocol EventHistory: Sendable {
    /// The messages after a number, ascending, at most `limit`; empty where there are none. Numbers left out are lost. Every
    /// message is here before any client gets it. May block; called from any thread.
    func messages(after sequence: Int64, limit: Int) throws -> [SequencedMessage]
}
