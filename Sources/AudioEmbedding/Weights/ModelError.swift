/// A model file that cannot be used: names the file, the tensor or field, and what would be right, in one line.
package struct ModelError: Error, CustomStringConvertible, Equatable {
    /// Path of the file.
    package let path: String
    /// The tensor (`features.0.weight`) or field (`encoder.layers[3].kernel`); nil where the file as a whole is wrong.
    package let item: String?
    /// What is wrong, as the end of a sentence that begins with the item.
    package let problem: String

    package init(path: String, item: String? = nil, problem: String) {
        self.path = path
        self.item = item
        self.problem = problem
    }

    package var description: String {
        // A hostile header may put line breaks into a tensor's name; the message stays on one line.
        let item = item.map { ": " + String($0.prefix(200)) } ?? ""
        let line = "\(path)\(item): \(problem)"
        return String(String.UnicodeScalarView(line.unicodeScalars.map { $0.value < 32 || $0.value == 127 ? " " : $0 }))
    }
}
