package import Foundation

/// A label with its share of a window, in [0, 1].
package struct LabelShare: Sendable, Equatable {
    package var label: String
    package var share: Float
}

/// A change of one event: it began, goes on, or ended.
package struct EventReport: Sendable, Equatable {
    package enum Kind: String, Sendable {
        case onset, update, offset
    }

    package var kind: Kind
    /// Number of the event within its source, from 0; the onset, updates and offset of one event share it.
    package var number: UInt64
    package var label: String
    /// The event's best share so far, in [0, 1].
    package var score: Float
    /// On the source's sample clock.
    package var onsetSample: Int64
    /// On the source's sample clock; nil until the event has ended.
    package var offsetSample: Int64?
    /// The sample clock when the report was made.
    package var reportedSample: Int64
    /// Level of the newest step in dB relative to full scale; −∞ for digital silence.
    package var levelDecibels: Float
    /// What else was heard at that moment, best first.
    package var top: [LabelShare]
}

/// What one source has to say, in order.
package struct SourceReport: Sendable {
    package enum Content: Sendable {
        case event(EventReport)
        /// Audio lost: `lostSamples` at the model's rate, from `fromSample` on the sample clock.
        case gap(fromSample: Int64, lostSamples: Int, reason: String)
        /// Audio flows: what was opened and what is converted.
        case up(opening: String)
        /// Audio flows again after a failure or silence; what was opened, or how long it was silent.
        case recovered(reason: String)
        /// The device delivers, but nothing except digital silence or a constant.
        case silent(reason: String)
        /// Inference is slower than real time: of so many windows one is matched from here on; 1 is all again.
        case widened(stride: Int)
        /// Failed, and will be tried again.
        case down(reason: String)
        /// A file or standard input has come to its end, or cannot be read; it will not be tried again.
        case ended(problem: String?)
        /// The live ranking of the newest window; only while someone asks for it.
        case top(sample: Int64, levelDecibels: Float, ranking: [LabelShare])
    }

    package var source: String
    package var content: Content
    /// UTC of the sample clock's zero as far as known, see ``StreamClock``: a sample's time is this plus sample / rate.
    package var clockZero: Date
    package var sampleRate: Int

    /// UTC of a sample of this source.
    package func time(ofSample sample: Int64) -> Date {
        clockZero.addingTimeInterval(Double(sample) / Double(sampleRate))
    }
}
