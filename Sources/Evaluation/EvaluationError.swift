/// An input that cannot be evaluated; its description is one line that names the file and line where there is one.
package struct EvaluationError: Error, Equatable, CustomStringConvertible {
    /// The file at fault as it was given, or nil where the values did not come from a file.
    package let path: String?
    /// 1-based line of `path`, or nil where the whole file is meant.
    package let line: Int?
    /// What is wrong and what would be right.
    package let message: String

    package init(path: String? = nil, line: Int? = nil, _ message: String) {
        self.path = path
        self.line = line
        self.message = message
    }

    package var description: String {
        guard let path else { return message }
        guard let line else { return "\(path): \(message)" }
        return "\(path):\(line): \(message)"
    }
}
