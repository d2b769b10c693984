import EventMessages

/// The members of `params`, read by type. Errors name the member.
struct Parameters: Sendable {
    let members: [JSONValue.Member]

    /// A member's value; one that is null counts as not given.
    private func value(_ name: String) -> JSONValue? {
        members.first { $0.name == name && $0.value != .null }?.value
    }

    /// Refuses members of other names: a misspelt filter would otherwise silently admit everything.
    func allow(_ names: [String]) throws(RequestError) {
        for member in members where !names.contains(member.name) {
            let known = names.isEmpty ? "this method has none" : "known: \(names.joined(separator: ", "))"
            throw RequestError(.invalidParameters, "unknown parameter \"\(member.name)\" (\(known))", member.name)
        }
    }

    func boolean(_ name: String) throws(RequestError) -> Bool? {
        guard let value = value(name) else { return nil }
        guard case .boolean(let result) = value else { throw mismatch(name, "true or false", value) }
        return result
    }

    func integer(_ name: String, in range: ClosedRange<Int>) throws(RequestError) -> Int? {
        guard let value = value(name) else { return nil }
        guard case .integer(let result) = value, let count = Int(exactly: result), range.contains(count) else {
            throw mismatch(name, "a whole number from \(range.lowerBound) to \(range.upperBound)", value)
        }
        return count
    }

    func strings(_ name: String) throws(RequestError) -> [String]? {
        guard let value = value(name) else { return nil }
        guard case .array(let values) = value else { throw mismatch(name, "a list of strings", value) }
        var strings: [String] = []
        for (index, value) in values.enumerated() {
            guard case .string(let string) = value else { throw mismatch("\(name)[\(index)]", "a string", value) }
            strings.append(string)
        }
        return strings
    }

    func globs(_ name: String) throws(RequestError) -> [Glob]? {
        try strings(name)?.map(Glob.init)
    }

    func string(_ name: String) throws(RequestError) -> String? {
        guard let value = value(name) else { return nil }
        guard case .string(let result) = value, !result.isEmpty else {
            throw mismatch(name, "a text that is not empty", value)
        }
        return result
    }

    func number(_ name: String, in range: ClosedRange<Double>) throws(RequestError) -> Double? {
        guard let value = value(name) else { return nil }
        let number: Double? =
            switch value {
            case .integer(let value): Double(value)
            case .number(let value): value
            default: nil
            }
        guard let number, range.contains(number) else {
            throw mismatch(name, "a number from \(range.lowerBound) to \(range.upperBound)", value)
        }
        return number
    }

    /// What a method cannot do without.
    func required<Value>(_ name: String, _ value: Value?) throws(RequestError) -> Value {
        guard let value else { throw RequestError(.invalidParameters, "\(name) is missing", name) }
        return value
    }

    func filter() throws(RequestError) -> SubscriptionFilter {
        try allow(["labels", "sources", "min_score", "types", "since"])
        var filter = SubscriptionFilter(labels: try globs("labels"), sources: try globs("sources"))
        if let value = value("min_score") {
            switch value {
            case .integer(let score): filter.minimumScore = Double(score)
            case .number(let score): filter.minimumScore = score
            default: throw mismatch("min_score", "a number", value)
            }
        }
        if let names = try strings("types") {
            filter.types = []
            for (index, name) in names.enumerated() {
                guard let type = MessageType(rawValue: name) else {
                    let known = MessageType.allCases.map(\.rawValue).joined(separator: ", ")
                    throw mismatch("types[\(index)]", "one of \(known)", .string(name))
                }
                filter.types.insert(type)
            }
        }
        return filter
    }

    private func mismatch(_ name: String, _ expected: String, _ value: JSONValue) -> RequestError {
        let given =
            switch value {
            case .integer(let number): "\(number)"
            case .number(let number): "\(number)"
            case .string(let text): "\"\(text.prefix(40))\""
            default: value.kind
            }
        return RequestError(.invalidParameters, "\(name) must be \(expected), not \(given)", name)
    }
}
