import EventMessages

/// What a client asks for in one line.
struct Request: Sendable, Equatable {
    enum Method: Sendable, Equatable {
        /// With what has been sent after the number `since`, if one is given.
        case subscribe(SubscriptionFilter, since: Int64?)
        case unsubscribe
        case status(withConnections: Bool)
        case labels
        /// The `count` best labels of each step from the sources that match; 0 stops.
        case top(count: Int, sources: [Glob]?)
        case ping
    }

    static let methodNames = ["subscribe", "unsubscribe", "status", "labels", "top", "ping"]

    /// A scalar, echoed in the reply; null where none was given.
    var id: JSONValue
    var method: Method

    /// Reads one line without its newline.
    init(line: [UInt8]) throws(RequestError) {
        guard String(validating: line, as: UTF8.self) != nil else {
            throw RequestError(.invalidUTF8, "the line is not valid UTF-8")
        }
        guard let value = try? JSONValue(text: line) else {
            throw RequestError(
                .parseError,
                "the line cannot be read as JSON of at most \(JSONValue.maximumValueCount) values; a request looks like "
                    + "{\"id\":1,\"method\":\"ping\"}")
        }
        guard case .object(let members) = value else {
            throw RequestError(.invalidRequest, "a request is a JSON object, not \(value.kind)")
        }
        id = value["id"] ?? .null
        switch id {
        case .array, .object:
            throw RequestError(.invalidRequest, "id must be a string, number, boolean or null, not \(id.kind)", "id")
        default: break
        }
        do {
            method = try Request.method(members)
        } catch {
            var error = error
            error.id = id
            throw error
        }
    }

    private static func method(_ members: [JSONValue.Member]) throws(RequestError) -> Method {
        var parameters = Parameters(members: [])
        var name: String?
        for member in members {
            switch member.name {
            case "id", "jsonrpc": break
            case "method":
                guard case .string(let text) = member.value else {
                    throw RequestError(.invalidRequest, "method must be a string, not \(member.value.kind)", "method")
                }
                name = text
            case "params":
                switch member.value {
                case .object(let members): parameters = Parameters(members: members)
                case .null: break
                default:
                    throw RequestError(
                        .invalidParameters, "params must be an object, not \(member.value.kind)", "params")
                }
            default:
                throw RequestError(
                    .invalidRequest, "unknown member \"\(member.name)\" (known: id, method, params)", member.name)
            }
        }
        guard let name else { throw RequestError(.invalidRequest, "method is missing", "method") }
        switch name {
        case "subscribe":
            let since = try parameters.integer("since", in: 0...Int.max)
            return .subscribe(try parameters.filter(), since: since.map(Int64.init))
        case "unsubscribe":
            try parameters.allow([])
            return .unsubscribe
        case "status":
            try parameters.allow(["connections"])
            return .status(withConnections: try parameters.boolean("connections") ?? false)
        case "labels":
            try parameters.allow([])
            return .labels
        case "top":
            try parameters.allow(["k", "sources"])
            let count = try parameters.integer("k", in: 0...SubscriptionFilter.maximumTopCount)
            return .top(count: count ?? SubscriptionFilter.defaultTopCount, sources: try parameters.globs("sources"))
        case "ping":
            try parameters.allow([])
            return .ping
        default:
            throw RequestError(
                .unknownMethod, "unknown method \"\(name)\" (known: \(methodNames.joined(separator: ", ")))")
        }
    }
}

/// The members of `params`, read by type. Errors name the member.
private struct Parameters {
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
