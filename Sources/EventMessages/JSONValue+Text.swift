import FoundationEssentials

extension JSONValue: Decodable {
    private struct Name: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// Arrays and objects may nest this deep: text comes from strangers, and the stack is limited.
    private static let maximumDepth = 32

    /// So many values may be in a text: the decoder takes some 30 µs for each, and all clients wait meanwhile.
    package static let maximumValueCount = 1000

    /// - Parameter text: JSON in UTF-8.
    /// - Throws: `DecodingError`, also for deeper nesting, for more values and for a number that is too large for a
    ///   `Double`.
    package init(text: [UInt8]) throws {
        guard JSONValue.valueCount(text) <= JSONValue.maximumValueCount else {
            throw DecodingError.dataCorrupted(.init(codingPath: [], debugDescription: "too many values"))
        }
        // With the space: the decoder traps on a text that ends with the bracket that is one too many for it (the 513th).
        self = try JSONDecoder().decode(JSONValue.self, from: Data(text + [UInt8(ascii: " ")]))
    }

    /// How many values the text holds at most: one more with each comma and with each opening bracket.
    private static func valueCount(_ text: [UInt8]) -> Int {
        var count = 1
        var isInString = false
        var isEscaped = false
        for byte in text {
            if isEscaped {
                isEscaped = false
            } else if isInString, byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isInString.toggle()
            } else if !isInString, ",[{".utf8.contains(byte) {
                count += 1
            }
        }
        return count
    }

    package init(from decoder: any Decoder) throws {
        guard decoder.codingPath.count <= JSONValue.maximumDepth else {
            throw DecodingError.dataCorrupted(.init(codingPath: [], debugDescription: "nested too deep"))
        }
        if let object = try? decoder.container(keyedBy: Name.self) {
            let names = object.allKeys.sorted { $0.stringValue < $1.stringValue }
            self = .object(try names.map { Member($0.stringValue, try object.decode(JSONValue.self, forKey: $0)) })
        } else if var array = try? decoder.unkeyedContainer() {
            var values: [JSONValue] = []
            while !array.isAtEnd { values.append(try array.decode(JSONValue.self)) }
            self = .array(values)
        } else {
            let scalar = try decoder.singleValueContainer()
            if scalar.decodeNil() {
                self = .null
            } else if let value = try? scalar.decode(Bool.self) {
                self = .boolean(value)
            } else if let value = try? scalar.decode(Int64.self) {
                self = .integer(value)
            } else if let value = try? scalar.decode(Double.self) {
                // A fraction too fine for a Double is gone: what is left is written, and read again, as an integer.
                self = Int64(exactly: value).map { .integer($0) } ?? .number(value)
            } else {
                self = .string(try scalar.decode(String.self))
            }
        }
    }
}

extension JSONValue {
    /// The value as one line of JSON with its newline.
    ///
    /// Hand-written for the order of members, and about three times faster than `JSONEncoder`.
    package var line: [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(512)
        append(to: &text)
        text.append(UInt8(ascii: "\n"))
        return text
    }

    private func append(to text: inout [UInt8]) {
        switch self {
        case .null: text += "null".utf8
        case .boolean(let value): text += (value ? "true" : "false").utf8
        case .integer(let value): text += value.description.utf8
        case .number(let value): text += (value.isFinite ? value.description : "null").utf8
        case .string(let value): JSONValue.append(value, to: &text)
        case .array(let values):
            text.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { text.append(UInt8(ascii: ",")) }
                value.append(to: &text)
            }
            text.append(UInt8(ascii: "]"))
        case .object(let members):
            text.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { text.append(UInt8(ascii: ",")) }
                JSONValue.append(member.name, to: &text)
                text.append(UInt8(ascii: ":"))
                member.value.append(to: &text)
            }
            text.append(UInt8(ascii: "}"))
        }
    }

    /// Control characters are escaped, so that a string can never end the line; all else stays UTF-8.
    private static func append(_ string: String, to text: inout [UInt8]) {
        text.append(UInt8(ascii: "\""))
        for byte in string.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                text.append(UInt8(ascii: "\\"))
                text.append(byte)
            case 0..<0x20, 0x7F:
                let digits = String(byte, radix: 16)
                text += (byte < 0x10 ? "\\u000" : "\\u00").utf8
                text += digits.utf8
            default: text.append(byte)
            }
        }
        text.append(UInt8(ascii: "\""))
    }
}
