import EventMessages

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
        /// Right, but this daemon cannot do it as it is configured.
        case unsupported
        /// The control socket's: the request was right, and carrying it out failed.
        case failed
        /// The control socket's: sent instead of `hello` to other users, then the connection is closed.
        case notPermitted = "not_permitted"
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

    /// The same, as the answer to a request.
    func of(_ id: JSONValue) -> RequestError {
        var error = self
        error.id = id
        return error
    }

    /// `{"id":…,"error":{"code":…,"message":…,"field":…}}`, `field` only where one is at fault.
    var line: [UInt8] {
        var members: [JSONValue.Member] = [
            .init("code", .string(code.rawValue)), JSONValue.Member("message", .string(message)),
        ]
        if let field { members.append(.init("field", .string(field))) }
        let reply: JSONValue = ["id": id, "error": .object(members)]
        return reply.line
    }
}
