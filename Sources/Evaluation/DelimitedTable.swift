import FoundationEssentials

/// A text table with a header row, as far as manifests and event lists need it: comma or tab separated, fields in double
/// quotes where they hold a separator, quote (doubled) or line break, lines ended by LF or CRLF, with or without a byte order
/// mark. Empty lines are skipped.
struct DelimitedTable {
    struct Row {
        /// 1-based line on which the row begins.
        let line: Int
        let fields: [String]
    }

    let path: String
    let header: Row
    let rows: [Row]

    /// - Throws: `EvaluationError` for a file that cannot be read, is not UTF-8 or is empty, or a quote that is not closed.
    init(path: String, separator: Unicode.Scalar) throws {
        let bytes: Data
        do {
            bytes = try Data(contentsOf: URL(filePath: path))
        } catch {
            let isThere = FileManager.default.fileExists(atPath: path)
            throw EvaluationError(path: path, isThere ? "cannot be read" : "no such file")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw EvaluationError(path: path, "is not UTF-8 text")
        }
        try self.init(text: text, path: path, separator: separator)
    }

    /// - Parameters:
    ///   - text: Contents of the file.
    ///   - path: Named in errors.
    ///   - separator: A comma or a tab.
    init(text: String, path: String, separator: Unicode.Scalar) throws {
        self.path = path
        var parser = Parser(path: path, separator: separator)
        try parser.parse(text)
        guard let header = parser.rows.first else {
            throw EvaluationError(path: path, "is empty; a header line is needed")
        }
        self.header = header
        rows = Array(parser.rows.dropFirst())
        for row in rows where row.fields.count > header.fields.count {
            throw EvaluationError(
                path: path, line: row.line, "\(row.fields.count) fields, but the header has \(header.fields.count)")
        }
    }

    /// Position of a column by its name in the header.
    func column(_ name: String) throws -> Int {
        let matches = header.fields.indices.filter { header.fields[$0] == name }
        guard let index = matches.first else {
            throw EvaluationError(
                path: path, line: header.line,
                "no column \"\(name)\"; the header has \(header.fields.map { "\"\($0)\"" }.joined(separator: ", "))")
        }
        guard matches.count == 1 else {
            throw EvaluationError(path: path, line: header.line, "column \"\(name)\" occurs twice")
        }
        return index
    }
}

extension DelimitedTable.Row {
    /// A field without the blanks around it, empty where the row is too short.
    func field(_ column: Int) -> String {
        guard column < fields.count else { return "" }
        let field = fields[column].unicodeScalars.drop { $0.properties.isWhitespace }
        let end = field.lastIndex { !$0.properties.isWhitespace }
        return end.map { String(field[...$0]) } ?? ""
    }
}

extension DelimitedTable {
    /// Splits text into rows by Unicode scalars: a combining mark behind a separator must not hide it.
    private struct Parser {
        let path: String
        let separator: Unicode.Scalar
        var rows: [Row] = []

        private var fields: [String] = []
        private var field = String.UnicodeScalarView()
        private var wasQuoted = false
        private var line = 1
        private var rowLine = 1
        private var quoteLine: Int?

        init(path: String, separator: Unicode.Scalar) {
            self.path = path
            self.separator = separator
        }

        mutating func parse(_ text: String) throws {
            var scalars = text.unicodeScalars[...]
            if scalars.first == "\u{FEFF}" { scalars.removeFirst() }
            while let scalar = scalars.popFirst() {
                if quoteLine != nil {
                    if scalar != "\"" {
                        if scalar == "\n" { line += 1 }
                        field.append(scalar)
                    } else if scalars.first == "\"" {
                        field.append(scalars.removeFirst())
                    } else {
                        quoteLine = nil
                    }
                } else if scalar == separator {
                    endField()
                } else if scalar == "\n" || (scalar == "\r" && scalars.first == "\n") {
                    if scalar == "\r" { scalars.removeFirst() }
                    endRow()
                    line += 1
                    rowLine = line
                } else if wasQuoted {
                    throw EvaluationError(path: path, line: line, "text after a closing quote")
                } else if scalar == "\"", field.isEmpty {
                    quoteLine = line
                    wasQuoted = true
                } else if scalar == "\0" {
                    throw EvaluationError(path: path, line: line, "a NUL character; this is not a text table")
                } else {
                    field.append(scalar)
                }
            }
            if let quoteLine { throw EvaluationError(path: path, line: quoteLine, "a quote is not closed") }
            endRow()
        }

        private mutating func endField() {
            fields.append(String(field))
            field = String.UnicodeScalarView()
            wasQuoted = false
        }

        private mutating func endRow() {
            let isQuoted = wasQuoted
            endField()
            if fields.count > 1 || isQuoted || fields[0].contains(where: { !$0.isWhitespace }) {
                rows.append(Row(line: rowLine, fields: fields))
            }
            fields = []
        }
    }
}
