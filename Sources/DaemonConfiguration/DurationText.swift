/// Lengths of time as people write them: `0.3s`, `500ms`, `30s`, `2m`, `1h`, `7d`, or plain seconds.
enum DurationText {
    /// - Returns: Seconds, at least 0; nil if the text is none of these forms.
    static func seconds(_ text: String) -> Double? {
        var amount = text[...]
        var unit = 1.0
        for (suffix, seconds) in [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)]
        where text.hasSuffix(suffix) {
            amount = text.dropLast(suffix.count)
            unit = seconds
            break
        }
        while amount.last == " " { amount.removeLast() }
        return DecimalText.value(amount).map { $0 * unit }
    }

    /// The shortest of the forms.
    static func text(_ seconds: Double) -> String {
        func whole(_ value: Double) -> String? { value == value.rounded() ? String(Int(value)) : nil }
        if seconds >= 86_400, let days = whole(seconds / 86_400) { return days + "d" }
        if seconds >= 3600, let hours = whole(seconds / 3600) { return hours + "h" }
        if seconds >= 60, let minutes = whole(seconds / 60) { return minutes + "m" }
        if seconds > 0, seconds < 1, let milliseconds = whole(seconds * 1000) { return milliseconds + "ms" }
        return (whole(seconds) ?? String(seconds)) + "s"
    }
}

/// Sizes as people write them: `500MB`, `2GB`, or plain bytes; the units are powers of 1000.
enum SizeText {
    private static let units: [(suffix: String, bytes: Double)] = [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)]

    /// - Returns: Bytes, at least 0; nil if the text is none of these forms.
    static func bytes(_ text: String) -> Int64? {
        let unit = units.first { text.hasSuffix($0.suffix) }
        var amount = text.dropLast(unit?.suffix.count ?? 0)
        while amount.last == " " { amount.removeLast() }
        return DecimalText.value(amount).flatMap { $0 < 0 ? nil : Int64(exactly: ($0 * (unit?.bytes ?? 1)).rounded()) }
    }

    /// The shortest of the forms.
    static func text(_ bytes: Int64) -> String {
        for unit in units where bytes > 0 && bytes % Int64(unit.bytes) == 0 {
            return "\(bytes / Int64(unit.bytes))\(unit.suffix)"
        }
        return String(bytes)
    }
}

/// Numbers in plain digits: no exponent, no infinity, no hexadecimal.
enum DecimalText {
    static func value(_ text: Substring) -> Double? {
        let digits = text.hasPrefix("-") || text.hasPrefix("+") ? text.dropFirst() : text
        guard digits.contains(where: \.isNumber), digits.utf8.filter({ $0 == UInt8(ascii: ".") }).count <= 1,
            digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: ".") })
        else { return nil }
        return Double(text.hasPrefix(".") ? "0" + text : text)
    }
}
