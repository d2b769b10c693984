import EventMessages

/// A request as all sockets take it: `{"id":…,"method":…,"params":{…}}`, before the method is known to exist.
struct RequestLine: Sendable {
    /// A scalar, echoed in the reply; null where none was given.
    let id: JSONValue
    let method: String
    private let parameters: Parameters

    /// Reads one line without its newline.
    init(_ line: [UInt8]) throws(RequestError) {
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
        let id = value["id"] ?? .null
        switch id {
        case .array, .object:
            throw RequestError(.invalidRequest, "id must be a string, number, boolean or null, not \(id.kind)", "id")
        default: break
        }
        self.id = id
        do {
            (method, parameters) = try RequestLine.read(members)
        } catch {
            throw error.of(id)
        }
    }

    /// Does what may fail because of this request; the error names the request's id.
    func naming<Result>(_ body: (Parameters) throws(RequestError) -> Result) throws(RequestError) -> Result {
        do {
            return try body(parameters)
        } catch {
            throw error.of(id)
        }
    }

    private static func read(
        _ members: [JSONValue.Member]
    ) throws(RequestError) -> (method: String, parameters: Parameters) {
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
        return (name, parameters)
    }
}
