/// Turns the bytes of a label file into entries and problems; see ``LabelFile`` for the syntax.
struct LabelFileParser {
    let path: String
    let template: String
    private(set) var entries: [LabelEntry] = []
    private(set) var problems: [LabelFileError] = []
    /// Line of each label's first mention, by its letter-case independent form.
    private var firstLines: [String: Int] = [:]

    init(path: String, template: String) {
        precondition(template.contains("{label}"), "the prompt template \"\(template)\" does not hold {label}")
        self.path = path
        self.template = template
    }

    mutating func parse(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return report(nil, "the file is empty; write one label per line") }
        if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
            return report(nil, "the file is UTF-16 text; save it as UTF-8")
        }
        let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let text = bytes.starts(with: byteOrderMark) ? bytes[3...] : bytes[...]

        var number = 0
        var rest = text
        while !rest.isEmpty, problems.count < LabelFile.Check.maximumProblems {
            number += 1
            let end = rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.endIndex
            let line = rest[..<end]
            rest = rest[end...].dropFirst()
            do {
                guard let entry = try parseLine(line, number: number) else { continue }
                guard entries.count < LabelFile.Limit.labels else {
                    return report(number, "more than \(LabelFile.Limit.labels) labels")
                }
                entries.append(entry)
            } catch {
                report(number, error.reason)
                // What follows binary data would only repeat the message.
                if error.endsParsing { return }
            }
        }
        if entries.isEmpty, problems.isEmpty {
            report(nil, "the file holds no label, only comments or empty lines")
        }
    }

    private mutating func report(_ line: Int?, _ reason: String) {
        problems.append(LabelFileError(path: path, line: line, reason: reason))
    }

    /// A line that cannot be used.
    struct LineError: Error {
        let reason: String
        var endsParsing = false
    }

    /// - Returns: nil for an empty line or a comment.
    private mutating func parseLine(_ bytes: ArraySlice<UInt8>, number: Int) throws(LineError) -> LabelEntry? {
        let line = try LabelFileParser.decode(bytes)
        var content = LabelFileParser.trimmed(LabelFileParser.withoutComment(line))
        guard !content.isEmpty else { return nil }

        var bracketed: Substring?
        if content.last == "]" {
            guard let open = content.lastIndex(of: "[") else { throw LineError(reason: "\"]\" without \"[\"") }
            bracketed = content[content.index(after: open)...].dropLast()
            content = LabelFileParser.trimmed(content[..<open])
        }
        if let bracket = content.first(where: { $0 == "[" || $0 == "]" }) {
            throw LineError(
                reason: "unexpected \"\(bracket)\"; settings such as [threshold=0.6] come once, at the end of the line")
        }
        var settings = LabelSettings()
        if let bracketed { settings = try LabelSettings(bracketed) }

        let name: String
        var prompts: [String] = []
        if let equals = content.firstIndex(of: "=") {
            name = try LabelFileParser.labelName(content[..<equals])
            prompts = try LabelFileParser.prompts(content[content.index(after: equals)...], of: name)
        } else {
            name = try LabelFileParser.labelName(content)
        }

        let key = name.lowercased()
        if let first = firstLines[key] {
            throw LineError(reason: "label \"\(name)\" is already on line \(first)")
        }
        firstLines[key] = number
        if prompts.isEmpty { prompts = [LabelFileParser.fill(template, with: name)] }
        return LabelEntry(
            name: name, prompts: prompts, threshold: settings.threshold, cooldown: settings.cooldown,
            minimumLength: settings.minimumLength, group: settings.group, line: number)
    }

    /// The line as text, without a carriage return at its end.
    private static func decode(_ bytes: ArraySlice<UInt8>) throws(LineError) -> Substring {
        guard !bytes.contains(0) else {
            throw LineError(reason: "NUL byte; this is no text file", endsParsing: true)
        }
        guard bytes.count <= LabelFile.Limit.lineBytes else {
            throw LineError(
                reason: "the line is longer than \(LabelFile.Limit.lineBytes) bytes; write one label per line",
                endsParsing: true)
        }
        let content = bytes.last == UInt8(ascii: "\r") ? bytes.dropLast() : bytes
        guard let line = String(validating: content, as: UTF8.self) else {
            throw LineError(reason: "invalid UTF-8; save the file as UTF-8 text", endsParsing: true)
        }
        for scalar in line.unicodeScalars where scalar != "\t" {
            switch scalar.properties.generalCategory {
            case .control, .lineSeparator, .paragraphSeparator:
                let code = String(scalar.value, radix: 16, uppercase: true)
                let padded = String(repeating: "0", count: max(0, 4 - code.count)) + code
                throw LineError(reason: "control character U+\(padded); remove it")
            default: break
            }
        }
        return line[...]
    }

    /// Drops a comment: a `#` at the start of the line or after white space, and what follows.
    static func withoutComment(_ line: Substring) -> Substring {
        var previousIsSpace = true
        for index in line.indices {
            if line[index] == "#", previousIsSpace { return line[..<index] }
            previousIsSpace = line[index].isWhitespace
        }
        return line
    }

    static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0.isWhitespace }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return text
    }

    private static func labelName(_ text: Substring) throws(LineError) -> String {
        let name = text.split { $0.isWhitespace }.joined(separator: " ")
        guard !name.isEmpty else { throw LineError(reason: "empty label; write \"label\" or \"label = prompt\"") }
        guard !name.contains("|") else {
            throw LineError(reason: "\"|\" in a label; prompts come after \"=\", as in \"label = prompt | prompt\"")
        }
        guard name.count <= LabelFile.Limit.labelCharacters else {
            throw LineError(
                reason: "the label has \(name.count) characters; at most \(LabelFile.Limit.labelCharacters) are allowed"
            )
        }
        return name
    }

    private static func prompts(_ text: Substring, of name: String) throws(LineError) -> [String] {
        let parts = text.split(separator: "|", omittingEmptySubsequences: false)
        guard parts.count <= LabelFile.Limit.promptsPerLabel else {
            throw LineError(
                reason: "label \"\(name)\" has \(parts.count) prompts; at most "
                    + "\(LabelFile.Limit.promptsPerLabel) are allowed")
        }
        var prompts: [String] = []
        for part in parts {
            let prompt = String(trimmed(part))
            guard !prompt.isEmpty else {
                throw LineError(reason: "empty prompt of label \"\(name)\"; write \"label = prompt | prompt\"")
            }
            guard prompt.count <= LabelFile.Limit.promptCharacters else {
                throw LineError(
                    reason: "a prompt of label \"\(name)\" has \(prompt.count) characters; at most "
                        + "\(LabelFile.Limit.promptCharacters) are allowed")
            }
            guard !prompts.contains(prompt) else {
                throw LineError(reason: "label \"\(name)\" has the prompt \"\(prompt)\" twice")
            }
            prompts.append(prompt)
        }
        return prompts
    }

    /// Puts the label in the place of every `{label}`.
    static func fill(_ template: String, with name: String) -> String {
        var filled = ""
        var rest = template[...]
        let mark = "{label}"
        while let brace = rest.firstIndex(of: "{") {
            filled += rest[..<brace]
            if rest[brace...].hasPrefix(mark) {
                filled += name
                rest = rest[brace...].dropFirst(mark.count)
            } else {
                filled += "{"
                rest = rest[brace...].dropFirst()
            }
        }
        return filled + rest
    }
}
