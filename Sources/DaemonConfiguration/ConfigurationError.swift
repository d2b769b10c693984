/// All that is wrong with a configuration file.
package struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    package struct Problem: Sendable, Equatable, CustomStringConvertible {
        package let file: String
        /// From 1; 0 where no line is to blame.
        package let line: Int
        package let message: String

        /// Line breaks and the like in `message`, which may come from the file, are made spaces: it stays one line.
        init(file: String, line: Int, message: String) {
            self.file = file
            self.line = line
            let scalars = message.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }
            self.message = String(String.UnicodeScalarView(scalars))
        }

        package var description: String {
            line > 0 ? "\(file):\(line): \(message)" : "\(file): \(message)"
        }
    }

    /// In the order of their lines.
    package let problems: [Problem]

    /// One line for each problem.
    package var description: String {
        problems.map(\.description).joined(separator: "\n")
    }
}
