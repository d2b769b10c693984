/// Why a request was not done. The connection stays up.
struct RequestError: Error, Equatable {
    enum Code: String, Sendable {
        /// The line is not JSON.
        case parseError = "parse_error"
        case invalidUTF8 = "invalid_utf8"
        /// The line is longer than the limit and was not read; the next line is.
        case lineTooLong = "line_too_long"
        /// JSON, but not a request.
        case invalidRequest = "invalid_request"
        case unknownMethod = "unknown_method"
        case invalidParameters = "invalid_params"
        /// Right, but this version cannot do it.
        case unsupported
        /// Sent instead of `hello`, then the connection is closed.
        case tooManyClients = "too_many_clients"
    }

    var id: JSONValue = .null
    var code: Code
    var message: String
    /// The member of the request at fault.
    var field: String?

    init(_ code: Code, _ message: String, _ field: String? = nil) {
        self.code = code
        self.message = message
        self.field = field
    }

    /// `{"id":…,"error":{"code":…,"message":…,"field":…}}`, `field` only where one is at fault.
    var line: [UInt8] {
        var error: JSONValue = ["code": .string(code.rawValue), "message": .string(message)]
        if let field, case .object(var members) = error {
            members.append(JSONValue.Member("field", .string(field)))
            error = .object(members)
        }
        return Reply.line(id: id, "error", error)
    }
}

enum Reply {
    /// `{"id":…,"result":…}`
    static func line(id: JSONValue, result: JSONValue) -> [UInt8] {
        line(id: id, "result", result)
    }

    fileprivate static func line(id: JSONValue, _ name: String, _ value: JSONValue) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("id", id)
        writer.member(name, value)
        writer.endObject()
        writer.newline()
        return writer.bytes
    }
}
