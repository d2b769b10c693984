/// What keeps the text encoder from working, as one line that names the file.
package struct TextEncoderError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file or folder at fault.
    package let path: String
    package let reason: String

    package init(path: String, reason: String) {
        self.path = path
        self.reason = reason
    }

    package var description: String { "\(path): \(reason)" }
}
