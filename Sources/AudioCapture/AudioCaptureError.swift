/// What went wrong with a source, as one line that names the source and what would be right.
package struct AudioCaptureError: Error, Equatable, CustomStringConvertible {
    /// Who can mend it; the tools' exit status follows from this.
    package enum Kind: Sendable, Equatable {
        /// The source was named or configured wrongly (exit status 2).
        case usage
        /// The audio data is missing, unreadable, damaged or empty (exit status 2).
        case input
        /// A capture device could not be opened, or failed at work (exit status 1).
        case device
    }

    package let kind: Kind
    /// The one line.
    package let description: String
    /// Another program has the device open.
    package let isBusy: Bool

    package init(_ kind: Kind, _ description: String, isBusy: Bool = false) {
        self.kind = kind
        self.description = description
        self.isBusy = isBusy
    }
}
