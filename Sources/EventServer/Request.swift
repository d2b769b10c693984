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
        let line = try RequestLine(line)
        id = line.id
        method = try line.naming { parameters throws(RequestError) in try Request.method(line.method, parameters) }
    }

    private static func method(_ name: String, _ parameters: Parameters) throws(RequestError) -> Method {
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
            if ControlRequest.methodNames.contains(name) {
                throw RequestError(
                    .unknownMethod,
                    "\(name) is a method of the control socket (control.path in the configuration; `earshot control`)")
            }
            throw RequestError(
                .unknownMethod, "unknown method \"\(name)\" (known: \(methodNames.joined(separator: ", ")))")
        }
    }
}
