/// A list of clips with one true label each, as ESC-50 has it.
package struct EvaluationManifest: Equatable, Sendable {
    package struct Clip: Equatable, Sendable {
        /// Path of the clip, relative to the folder of the audio.
        package let filename: String
        /// Category with spaces for underscores.
        package let label: String
        /// Line in the manifest, for messages.
        package let line: Int
    }

    /// In the order of the file, at least one.
    package let clips: [Clip]

    /// Labels that occur, sorted.
    package var labels: [String] { Set(clips.map(\.label)).sorted() }

    /// Reads a CSV file with a header line that names the columns `filename` and `category`; others are ignored.
    ///
    /// - Throws: `EvaluationError` with path and line for a missing column, an empty field, a clip listed twice, or no clips.
    package init(path: String) throws {
        try self.init(table: DelimitedTable(path: path, separator: ","))
    }

    /// As `init(path:)`, from the contents of a file; `path` is only named in errors.
    package init(text: String, path: String) throws {
        try self.init(table: DelimitedTable(text: text, path: path, separator: ","))
    }

    private init(table: DelimitedTable) throws {
        let path = table.path
        let filenameColumn = try table.column("filename")
        let categoryColumn = try table.column("category")
        var lines: [String: Int] = [:]
        clips = try table.rows.map { row in
            let filename = row.field(filenameColumn)
            let category = row.field(categoryColumn)
            guard !filename.isEmpty else { throw EvaluationError(path: path, line: row.line, "filename is empty") }
            guard !category.isEmpty else { throw EvaluationError(path: path, line: row.line, "category is empty") }
            if let earlier = lines.updateValue(row.line, forKey: filename) {
                throw EvaluationError(
                    path: path, line: row.line, "\"\(filename)\" is already listed on line \(earlier)")
            }
            return Clip(filename: filename, label: labelName(ofCategory: category), line: row.line)
        }
        guard !clips.isEmpty else { throw EvaluationError(path: path, "lists no clips") }
    }
}

/// The words of a data set's category name: "door_wood_knock" is the label "door wood knock".
package func labelName(ofCategory category: String) -> String {
    String(category.map { $0 == "_" ? " " : $0 })
}
