/// Lengths of time as people write them: `0.3s`, `500ms`, `30s`, `2m`, `1h`, or plain seconds.
enum DurationText {
    /// - Returns: Seconds, at least 0; nil if the text is none of these forms.
    static func seconds(_ text: String) -> Double? {
        var amount = text[...]
        var unit = 1.0
        for (suffix, seconds) in [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)] where text.hasSuffix(suffix) {
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
        if seconds >= 3600, let hours = whole(seconds / 3600) { return hours + "h" }
        if seconds >= 60, let minutes = whole(seconds / 60) { return minutes + "m" }
        if seconds > 0, seconds < 1, let milliseconds = whole(seconds * 1000) { return milliseconds + "ms" }
        return (whole(seconds) ?? String(seconds)) + "s"
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
