/// A file of sounds in the user's words.
///
/// UTF-8 text (a byte order mark and CRLF line ends are accepted), one label per line:
/// ```
/// # a comment; also after white space at the end of a line
/// dog
/// glass breaking = a window shatters | breaking glass
/// smoke alarm = a smoke alarm beeping [threshold=0.6, cooldown=30s, min_length=0.5s, group=alarm]
/// siren [group=alarm]
/// ```
/// A line is `label`, optionally `= prompt | prompt ...`, optionally settings in square brackets at its end. A label
/// without prompts of its own is embedded through the template ("This is a sound of {label}."); own prompts are used
/// word for word. Settings, each at most once, separated by commas:
/// - `threshold`: 0 to 1, the score from which the label counts as heard.
/// - `cooldown`: 0 to 24 h, no further event of this label for that long after one.
/// - `min_length`: 0 to 60 s, shorter sounds are no event.
/// - `group`: a name of at most 64 characters for labels that belong together.
///
/// Durations carry a unit: `ms`, `s`, `m` or `h`, as in `300ms`, `1.5s`, `10m`.
/// Labels may not hold `=`, `|`, `[` or `]`, prompts may not hold `|`, `[` or `]`. Two labels may not differ in letter
/// case only.
package struct LabelFile: Equatable, Sendable {
    /// The path as given, for messages.
    package let path: String
    /// The labels in the order of the file, at least one.
    package let entries: [LabelEntry]

    /// Bounds that keep a wrong file (a recording, a log) from becoming a label set.
    package enum Limit {
        package static let labels = 10_000
        package static let labelCharacters = 200
        package static let promptCharacters = 500
        package static let promptsPerLabel = 32
        package static let groupCharacters = 64
        package static let lineBytes = 32_768
        package static let fileBytes = 4 * 1024 * 1024
    }

    /// What a label without prompts of its own is embedded as; `{label}` stands for the label.
    package static let defaultTemplate = "This is a sound of {label}."

    /// Reads and parses a label file.
    ///
    /// - Parameter template: holds `{label}`.
    /// - Throws: the first ``LabelFileError`` of ``check(path:template:)``.
    package init(path: String, template: String = LabelFile.defaultTemplate) throws {
        self = try LabelFile.check(path: path, template: template).get()
    }

    /// Parses the text of a label file.
    ///
    /// - Parameters:
    ///   - bytes: the file's contents.
    ///   - path: used in messages only.
    ///   - template: holds `{label}`.
    /// - Throws: the first ``LabelFileError``.
    package init(bytes: [UInt8], path: String, template: String = LabelFile.defaultTemplate) throws {
        self = try LabelFile.check(bytes: bytes, path: path, template: template).get()
    }

    /// The result of looking at a whole file: all that is wrong with it, not only the first mistake.
    package struct Check: Sendable {
        /// Nil if there are problems.
        package let file: LabelFile?
        /// In the order of lines; at most ``maximumProblems``, after which reading stops.
        package let problems: [LabelFileError]

        package static let maximumProblems = 50

        func get() throws -> LabelFile {
            if let first = problems.first { throw first }
            guard let file else { preconditionFailure("neither labels nor problems") }
            return file
        }
    }

    /// Reads a file and collects its problems (for `earshot labels check`).
    package static func check(path: String, template: String = LabelFile.defaultTemplate) -> Check {
        do {
            let bytes = try readRegularFile(path: path, maximumBytes: Limit.fileBytes)
            return check(bytes: bytes, path: path, template: template)
        } catch {
            return Check(file: nil, problems: [error])
        }
    }

    /// Parses a file's contents and collects its problems.
    package static func check(
        bytes: [UInt8], path: String, template: String = LabelFile.defaultTemplate
    ) -> Check {
        var parser = LabelFileParser(path: path, template: template)
        parser.parse(bytes)
        if parser.problems.isEmpty {
            return Check(file: LabelFile(path: path, entries: parser.entries), problems: [])
        }
        return Check(file: nil, problems: parser.problems)
    }

    private init(path: String, entries: [LabelEntry]) {
        self.path = path
        self.entries = entries
    }
}
