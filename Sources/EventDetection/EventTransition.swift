/// What becomes known about an event at one moment. All times are on the sample clock.
package struct EventTransition: Equatable, Sendable {
    package enum Kind: Equatable, Sendable {
        /// The event is sure: it has lasted its minimum length.
        case onset
        /// It goes on; sent at the configured interval.
        case update
        /// It is over, and nothing came within the minimum gap.
        case offset
    }

    package let kind: Kind
    /// Index of the label.
    package let label: Int
    /// The same for all transitions of one event; counts up over all labels, in the order of onsets.
    package let event: UInt64
    /// First sample of the first active step.
    package let onsetSample: Int64
    /// The sample after the last active step; for an `offset` only.
    package let offsetSample: Int64?
    /// The filtered score of the step that this transition was decided at; for an `offset`, of the last active step.
    package let score: Float
    /// The largest filtered score of the event so far.
    package let peakScore: Float
    /// The largest level of its steps so far, in dBFS; -∞ if none was given.
    package let peakLevel: Float
}
