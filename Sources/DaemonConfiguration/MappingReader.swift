import Yams

/// Collects problems while a file is read, so that all are told at once: the first fifty.
final class ProblemList {
    private static let limit = 50

    let file: String
    private(set) var problems: [ConfigurationError.Problem] = []

    init(file: String) {
        self.file = file
    }

    func report(_ node: Node, _ message: String) {
        report(line: node.mark?.line ?? 0, message)
    }

    /// There is no point in looking for more.
    var isFull: Bool { problems.count >= ProblemList.limit }

    func report(line: Int, _ message: String) {
        guard !isFull else { return }
        problems.append(ConfigurationError.Problem(file: file, line: line, message: message))
    }
}

/// Reads the settings of one YAML mapping by type. What is wrong is reported and read as nil.
struct MappingReader {
    /// What the mapping is called in messages: empty for the whole file, else `socket` or `sources[0]`.
    let name: String
    let line: Int
    private let problems: ProblemList
    private var values: [String: Node] = [:]

    /// - Parameter known: The settings there are; others are reported, with the nearest of these.
    init?(_ node: Node, name: String, known: [String], problems: ProblemList) {
        self.name = name
        self.problems = problems
        line = node.mark?.line ?? 0
        guard case .mapping(let mapping) = node else {
            let what = name.isEmpty ? "the file" : name
            problems.report(
                node, "\(what): must be settings of the form \"key: value\" (\(known.joined(separator: ", ")))")
            return nil
        }
        for (key, value) in mapping where !problems.isFull {
            guard case .scalar(let scalar) = key else {
                problems.report(key, "\(name.isEmpty ? "the file" : name): a key must be a plain word")
                continue
            }
            guard known.contains(scalar.string) else {
                let path = (name.isEmpty ? "" : "\(name).") + scalar.string.prefix(60)
                let hint =
                    Suggestion.nearest(to: scalar.string, among: known).map { "did you mean \($0)?" }
                    ?? "known are \(known.joined(separator: ", "))"
                problems.report(key, "\(path): unknown setting; \(hint)")
                continue
            }
            values[scalar.string] = value
        }
    }

    private func path(_ key: String) -> String {
        name.isEmpty ? key : "\(name).\(key)"
    }

    /// The node of a setting, nil if it is not given.
    func node(_ key: String) -> Node? {
        values[key]
    }

    /// Whether a setting is this one plain word instead of what it is otherwise.
    func isWord(_ key: String, _ word: String) -> Bool {
        if case .scalar(let scalar)? = values[key] { return scalar.string == word }
        return false
    }

    func mapping(_ key: String, known: [String]) -> MappingReader? {
        values[key].flatMap { MappingReader($0, name: path(key), known: known, problems: problems) }
    }

    /// The text of a setting that must be a single value.
    private func scalar(_ key: String, _ expected: String) -> String? {
        guard let node = values[key] else { return nil }
        guard case .scalar(let scalar) = node else {
            problems.report(node, "\(path(key)): must be \(expected), not \(node.kindDescription)")
            return nil
        }
        guard !node.isNull, !scalar.string.isEmpty else {
            problems.report(node, "\(path(key)): has no value; give \(expected) or remove the line")
            return nil
        }
        return scalar.string
    }

    /// A setting read by `read`; where that gives nil, the setting must be what `expected` says.
    func value<Value>(_ key: String, _ expected: String, _ read: (String) -> Value?) -> Value? {
        guard let text = scalar(key, expected) else { return nil }
        guard let value = read(text) else {
            report(key, "must be \(expected), not \"\(text.prefix(60))\"")
            return nil
        }
        return value
    }

    func string(_ key: String, _ expected: String) -> String? {
        value(key, expected) { text in
            text.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F } ? nil : text
        }
    }

    func number(_ key: String, in range: ClosedRange<Double>) -> Double? {
        value(key, "a number from \(range.lowerBound.short) to \(range.upperBound.short)") { text in
            DecimalText.value(text[...]).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    func integer(_ key: String, in range: ClosedRange<Int>) -> Int? {
        value(key, "a whole number from \(range.lowerBound) to \(range.upperBound)") { text in
            Int(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    /// Seconds.
    func duration(_ key: String, in range: ClosedRange<Double>) -> Double? {
        let limits = "\(DurationText.text(range.lowerBound)) to \(DurationText.text(range.upperBound))"
        return value(key, "a time such as 0.3s, 500ms or 2m (\(limits))") { text in
            DurationText.seconds(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    /// Bytes.
    func size(_ key: String, in range: ClosedRange<Int64>) -> Int64? {
        let limits = "\(SizeText.text(range.lowerBound)) to \(SizeText.text(range.upperBound))"
        return value(key, "a size such as 500MB or 2GB (\(limits))") { text in
            SizeText.bytes(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    func boolean(_ key: String) -> Bool? {
        value(key, "true or false") { text in
            switch text.lowercased() {
            case "true", "yes", "on": true
            case "false", "no", "off": false
            default: nil
            }
        }
    }

    /// Reports that a setting's value is wrong.
    func report(_ key: String, _ message: String) {
        problems.report(line: values[key]?.mark?.line ?? line, "\(path(key)): \(message)")
    }
}

extension Node {
    var isNull: Bool {
        if case .scalar(let scalar) = self, scalar.style == .plain {
            return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
        }
        return false
    }

    var kindDescription: String {
        switch self {
        case .scalar: "a single value"
        case .mapping: "settings of its own"
        case .sequence: "a list"
        case .alias: "an alias"
        }
    }
}

extension Double {
    /// Without a fraction where it has none.
    fileprivate var short: String {
        self == rounded() ? String(Int(self)) : String(self)
    }
}
