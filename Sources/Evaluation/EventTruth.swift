/// The true events of a set of recordings, read from a DESED event list.
package struct EventTruth: Equatable, Sendable {
    /// In the order of the file.
    package let events: [SoundEvent]
    /// Recordings in the order of their first line, including those listed without events.
    package let filenames: [String]

    /// Labels that occur, sorted.
    package var labels: [String] { Set(events.map(\.label)).sorted() }

    /// Reads a tab-separated file with a header line that names the columns `filename`, `onset`, `offset` and `event_label`;
    /// others are ignored. Times are seconds. Underscores in labels become spaces. A line with a filename and nothing else
    /// names a recording without events.
    ///
    /// - Throws: `EvaluationError` with path and line for a missing column or field, a time that is not a number or beyond
    ///   `longestTime`, an offset before its onset, or no recordings.
    package init(path: String) throws {
        try self.init(table: DelimitedTable(path: path, separator: "\t"))
    }

    /// As `init(path:)`, from the contents of a file; `path` is only named in errors.
    package init(text: String, path: String) throws {
        try self.init(table: DelimitedTable(text: text, path: path, separator: "\t"))
    }

    /// Latest time that is believed, in seconds: a month. More is a wrong unit (milliseconds, samples).
    package static let longestTime = 31.0 * 86_400

    private init(table: DelimitedTable) throws {
        let path = table.path
        let columns = try ["filename", "onset", "offset", "event_label"].map { try table.column($0) }
        var events: [SoundEvent] = []
        var filenames: [String] = []
        var known: Set<String> = []
        for row in table.rows {
            let fields = columns.map { row.field($0) }
            guard !fields[0].isEmpty else { throw EvaluationError(path: path, line: row.line, "filename is empty") }
            if known.insert(fields[0]).inserted { filenames.append(fields[0]) }
            if fields[1...].allSatisfy(\.isEmpty) { continue }
            let onset = try Self.time(fields[1], "onset", path, row.line)
            let offset = try Self.time(fields[2], "offset", path, row.line)
            guard offset >= onset else {
                throw EvaluationError(path: path, line: row.line, "offset \(fields[2]) is before onset \(fields[1])")
            }
            guard !fields[3].isEmpty else { throw EvaluationError(path: path, line: row.line, "event_label is empty") }
            events.append(
                SoundEvent(filename: fields[0], onset: onset, offset: offset, label: labelName(ofCategory: fields[3])))
        }
        guard !filenames.isEmpty else { throw EvaluationError(path: path, "lists no recordings") }
        self.events = events
        self.filenames = filenames
    }

    private static func time(_ field: String, _ name: String, _ path: String, _ line: Int) throws -> Double {
        guard let seconds = Double(field), (0...longestTime).contains(seconds) else {
            throw EvaluationError(
                path: path, line: line, "\(name) \"\(field)\" is not a time in seconds from 0 to \(Int(longestTime))")
        }
        return seconds
    }
}
