/// What an operator asks for on the control socket.
package enum ControlRequest: Sendable, Equatable {
    /// Read configuration and label files again.
    case reload
    /// From now on an event of the label begins at this score, 0 to 1; until the next reload or restart.
    case setThreshold(label: String, on: Double)
    /// Publish no events of the labels that match the pattern for so many seconds.
    case mute(labels: String, seconds: Double)
    /// End such a mute; nil ends all of them.
    case unmute(labels: String?)
    case status

    static let methodNames = ["reload", "set_threshold", "mute", "unmute", "status"]

    /// Longest mute: a week. What is to be silent for ever is taken out of the label file.
    package static let longestMute = 604_800.0

    init(_ line: RequestLine) throws(RequestError) {
        self = try line.naming { parameters throws(RequestError) in
            try ControlRequest(method: line.method, parameters)
        }
    }

    private init(method: String, _ parameters: Parameters) throws(RequestError) {
        switch method {
        case "reload":
            try parameters.allow([])
            self = .reload
        case "set_threshold":
            try parameters.allow(["label", "on"])
            self = .setThreshold(
                label: try parameters.required("label", try parameters.string("label")),
                on: try parameters.required("on", try parameters.number("on", in: 0...1)))
        case "mute":
            try parameters.allow(["labels", "seconds"])
            let seconds = try parameters.number("seconds", in: 0.001...ControlRequest.longestMute)
            self = .mute(
                labels: try parameters.required("labels", try parameters.string("labels")),
                seconds: try parameters.required("seconds", seconds))
        case "unmute":
            try parameters.allow(["labels"])
            self = .unmute(labels: try parameters.string("labels"))
        case "status":
            try parameters.allow([])
            self = .status
        default:
            let known = ControlRequest.methodNames.joined(separator: ", ")
            throw RequestError(.unknownMethod, "unknown method \"\(method)\" (known here: \(known))")
        }
    }
}

/// Why a request of the control socket was not carried out; one line.
package struct ControlFailure: Error {
    let message: String
    /// The parameter at fault, if one is.
    let field: String?

    package init(_ message: String, field: String? = nil) {
        self.message = message
        self.field = field
    }
}
