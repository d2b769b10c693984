/// What is wrong with a label file, as one line that starts with `path:line:` (or `path:` where no line is to blame).
package struct LabelFileError: Error, Equatable, Sendable, CustomStringConvertible {
    package let path: String
    /// From 1; nil where the file as a whole is meant.
    package let line: Int?
    package let reason: String

    package init(path: String, line: Int? = nil, reason: String) {
        self.path = path
        self.line = line
        self.reason = reason
    }

    package var description: String {
        if let line { "\(path):\(line): \(reason)" } else { "\(path): \(reason)" }
    }
}
