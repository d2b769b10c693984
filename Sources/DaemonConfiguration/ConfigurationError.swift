/// All that is wrong with a configuration file.
package struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    package struct Problem: Sendable, Equatable, CustomStringConvertible {
        package let file: String
        /// From 1; 0 where no line is to blame.
        package let line: Int
        package let message: String

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
