/// One sound that the user wants to hear about: a line of a label file.
package struct LabelEntry: Equatable, Sendable {
    /// The label as it appears in events: trimmed, inner white space collapsed to single spaces, at most 200 characters.
    package let name: String
    /// The sentences that the label is embedded as, at least one: the user's own prompts as written, or the template
    /// with the label filled in.
    package let prompts: [String]
    /// Score from which the label counts as heard, 0 to 1; nil takes the model's calibrated threshold.
    package var threshold: Float?
    /// Seconds after an event of this label in which no further one is reported.
    package let cooldown: Double?
    /// Seconds that a sound must last to become an event (`minimum_event_length` in DCASE words).
    package let minimumLength: Double?
    /// A name shared by labels that belong together; at most 64 characters.
    package let group: String?
    /// Number of the line in its file, from 1.
    package let line: Int

    package init(
        name: String, prompts: [String], threshold: Float? = nil, cooldown: Double? = nil,
        minimumLength: Double? = nil, group: String? = nil, line: Int = 1
    ) {
        precondition(!prompts.isEmpty, "label \(name) has no prompt")
        self.name = name
        self.prompts = prompts
        self.threshold = threshold
        self.cooldown = cooldown
        self.minimumLength = minimumLength
        self.group = group
        self.line = line
    }

    /// A label without settings, embedded as the template says.
    package init(_ name: String, template: String) {
        self.init(name: name, prompts: [template.replacing("{label}", with: name)])
    }
}
