extension EventMessage {
    /// Why a line is not an event message.
    package struct LineError: Error, CustomStringConvertible {
        package let description: String
    }

    /// Reads what ``ServerMessage`` wrote; members it does not know are passed over.
    ///
    /// - Throws: ``LineError`` that names the member at fault, or `DecodingError` where the line is not JSON.
    package init(line: [UInt8]) throws {
        let value = try JSONValue(text: line)
        func wrong(_ name: String) -> LineError { LineError(description: "\(name) is missing or of the wrong kind") }
        func string(_ name: String) throws -> String {
            guard case .string(let text)? = value[name] else { throw wrong(name) }
            return text
        }
        func number(_ name: String) throws -> Double {
            guard let number = value[name]?.double else { throw wrong(name) }
            return number
        }
        func time(_ name: String) throws -> Timestamp {
            guard let time = Timestamp(try string(name)) else { throw wrong(name) }
            return time
        }
        guard let kind = Kind(rawValue: try string("type")) else { throw wrong("type") }
        guard case .integer(let onsetSample)? = value["onset_sample"] else { throw wrong("onset_sample") }
        self.init(
            kind: kind, event: try string("event"), source: try string("source"), label: try string("label"),
            // What was not a number is null.
            score: value["score"]?.double ?? 0, onset: try time("onset"),
            offset: value["offset"] == .null ? nil : try time("offset"), onsetSample: onsetSample,
            duration: try number("duration"), levelDecibels: value["level_dbfs"]?.double)
        if case .array(let entries)? = value["top"] {
            top = entries.compactMap { entry in
                guard case .string(let label)? = entry["label"], let score = entry["score"]?.double else { return nil }
                return RankedLabel(label: label, score: score)
            }
        }
        if case .string(let reason)? = value["reason"] { self.reason = reason }
    }
}

extension JSONValue {
    /// The value of a number, whole or not.
    fileprivate var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }
}
