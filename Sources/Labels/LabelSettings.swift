/// The settings in square brackets at the end of a label's line.
struct LabelSettings: Equatable {
    var threshold: Float?
    var cooldown: Double?
    var minimumLength: Double?
    var group: String?

    init() {}

    /// - Parameter text: what stands between the brackets: `key=value, key=value`.
    init(_ text: Substring) throws(LabelFileParser.LineError) {
        guard !LabelFileParser.trimmed(text).isEmpty else {
            throw LabelFileParser.LineError(reason: "no setting between \"[\" and \"]\"")
        }
        var seen: Set<String> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let pieces = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let key = String(LabelFileParser.trimmed(pieces[0]))
            guard pieces.count == 2, !key.isEmpty else {
                throw LabelFileParser.LineError(
                    reason: "setting \"\(LabelFileParser.trimmed(part))\" is not of the form key=value")
            }
            guard seen.insert(key).inserted else {
                throw LabelFileParser.LineError(reason: "setting \"\(key)\" is given twice")
            }
            try set(key, to: String(LabelFileParser.trimmed(pieces[1])))
        }
    }

    private mutating func set(_ key: String, to value: String) throws(LabelFileParser.LineError) {
        switch key {
        case "threshold":
            guard let number = LabelSettings.number(value), (0...1).contains(number) else {
                throw LabelFileParser.LineError(reason: "threshold \"\(value)\" is not a number from 0 to 1")
            }
            threshold = Float(number)
        case "cooldown":
            cooldown = try LabelSettings.seconds(value, of: key, maximum: 86_400, maximumText: "24h")
        case "min_length":
            minimumLength = try LabelSettings.seconds(value, of: key, maximum: 60, maximumText: "60s")
        case "group":
            guard !value.isEmpty, value.count <= LabelFile.Limit.groupCharacters else {
                throw LabelFileParser.LineError(
                    reason: "group \"\(value.prefix(40))\" is not a name of 1 to "
                        + "\(LabelFile.Limit.groupCharacters) characters")
            }
            group = value
        default:
            throw LabelFileParser.LineError(
                reason: "unknown setting \"\(key)\"; there are threshold, cooldown, min_length and group")
        }
    }

    /// A decimal number in plain digits (no exponent, hexadecimal, infinity or not-a-number).
    private static func number(_ text: some StringProtocol) -> Double? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (48...57).contains($0) || $0 == UInt8(ascii: ".") }) else {
            return nil
        }
        return Double(text)
    }

    private static func seconds(
        _ text: String, of key: String, maximum: Double, maximumText: String
    ) throws(LabelFileParser.LineError) -> Double {
        let units: [(suffix: String, seconds: Double)] = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)]
        for unit in units where text.hasSuffix(unit.suffix) {
            let amount = LabelFileParser.trimmed(text.dropLast(unit.suffix.count))
            guard let number = number(amount), number * unit.seconds <= maximum else { break }
            return number * unit.seconds
        }
        throw LabelFileParser.LineError(
            reason: "\(key) \"\(text)\" is not a duration from 0 to \(maximumText) with a unit, as in 500ms, 1.5s, 10m")
    }
}
