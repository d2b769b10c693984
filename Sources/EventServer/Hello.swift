import EventMessages

/// What the daemon says of itself to each new client.
package struct HelloInformation: Sendable, Equatable {
    /// Version of earshot.
    package var version: String
    /// Name of the model.
    package var model: String
    /// Names of the labels, in the order of the label files.
    package var labels: [String]
    /// Names of the sources; `status` tells more about each.
    package var sources: [String]

    package init(version: String, model: String, labels: [String], sources: [String]) {
        self.version = version
        self.model = model
        self.labels = labels
        self.sources = sources
    }

    /// Version of the socket protocol. Additions (new members, types and methods) do not change it.
    static let protocolVersion = 1

    /// The first line of each connection.
    ///
    /// - Parameter sequence: The last number given out; messages that follow have higher ones. Nil on the control socket,
    ///   where none follow.
    func line(sequence: Int64?) -> [UInt8] {
        var members: [JSONValue.Member] = [
            .init("type", "hello"), .init("protocol", .integer(HelloInformation.protocolVersion)),
            .init("version", .string(version)), .init("model", .string(model)), .init("labels", .strings(labels)),
            .init("sources", .strings(sources)),
        ]
        if let sequence { members.append(.init("seq", .integer(sequence))) }
        return JSONValue.object(members).line
    }
}

/// A label as the method `labels` describes it; members that are nil are written as null.
package struct LabelSummary: Sendable, Equatable {
    package var label: String
    package var prompts: [String]
    package var group: String?
    /// Score from which an event of this label begins, in 0...1.
    package var threshold: Double?
    /// Seconds.
    package var cooldown: Double?
    /// Seconds.
    package var minimumLength: Double?

    package init(
        label: String, prompts: [String], group: String? = nil, threshold: Double? = nil, cooldown: Double? = nil,
        minimumLength: Double? = nil
    ) {
        self.label = label
        self.prompts = prompts
        self.group = group
        self.threshold = threshold
        self.cooldown = cooldown
        self.minimumLength = minimumLength
    }

    var json: JSONValue {
        [
            "label": .string(label), "prompts": .strings(prompts), "group": group.map { .string($0) } ?? .null,
            "threshold": .decimal(threshold),
            "cooldown": .decimal(cooldown),
            "minimum_length": .decimal(minimumLength),
        ]
    }
}
