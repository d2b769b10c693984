/// The section `mqtt`: an MQTT broker that events are published to.
package struct MQTTSettings: Sendable, Equatable {
    /// Name or address of the broker.
    package var host: String
    /// 1 to 65535; nil stands for the protocol's own, 1883, or 8883 with TLS.
    package var port: Int?
    /// What all topics begin with; nil stands for `earshot/` and the host's name.
    package var topic: String?
    /// Nil stands for `earshot-` and the host's name.
    package var clientIdentifier: String?
    package var username: String?
    /// Path of a file whose first line is the password.
    package var passwordFile: String?
    package var usesTLS = false
    /// Nil stands for the authorities that the system trusts.
    package var authorityFile: String?
    package var certificateFile: String?
    package var keyFile: String?
    /// Prefix of Home Assistant's discovery topics; nil for no discovery.
    package var discoveryPrefix: String?

    package init(host: String) {
        self.host = host
    }
}

extension MQTTSettings {
    static let keys = [
        "host", "port", "topic", "client_id", "username", "password_file", "tls", "ca_file", "certificate_file",
        "key_file", "discovery",
    ]

    /// - Returns: nil where there is no broker in it.
    init?(_ section: MappingReader, paths: PathResolver) {
        let host = section.value("host", "a name or an address, without a port") { text in
            text.utf8.count <= 253 && text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value < 0x7F } ? text : nil
        }
        if section.node("host") == nil { section.report("host", "is missing; give the broker's name or address") }
        self.init(host: host ?? "")
        port = section.integer("port", in: 1...65_535)
        let topicForm = "topic levels with \"/\" between them, without + and #"
        topic = section.value("topic", topicForm, Self.topic)
        discoveryPrefix = section.value("discovery", topicForm, Self.topic)
        clientIdentifier = section.value("client_id", "1 to 64 letters, digits, -, _ or .") { text in
            let isIdentifier =
                text.utf8.count <= 64
                && text.unicodeScalars.allSatisfy { scalar in
                    scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
                        || "-_.".unicodeScalars.contains(scalar)
                }
            return isIdentifier ? text : nil
        }
        username = section.string("username", "a name")
        passwordFile = section.string("password_file", "a path").map(paths.absolute)
        if passwordFile != nil, username == nil { section.report("password_file", "needs a username beside it") }
        let tls = section.boolean("tls")
        authorityFile = section.string("ca_file", "a path").map(paths.absolute)
        certificateFile = section.string("certificate_file", "a path").map(paths.absolute)
        keyFile = section.string("key_file", "a path").map(paths.absolute)
        let files = [("ca_file", authorityFile), ("certificate_file", certificateFile), ("key_file", keyFile)]
        usesTLS = tls ?? files.contains { $0.1 != nil }
        if !usesTLS, let file = files.first(where: { $0.1 != nil }) {
            section.report(file.0, "is for tls: true, which is set to false")
        }
        if certificateFile != nil, keyFile == nil { section.report("certificate_file", "needs a key_file beside it") }
        if keyFile != nil, certificateFile == nil { section.report("key_file", "needs a certificate_file beside it") }
        if host == nil { return nil }
    }

    private static func topic(_ text: String) -> String? {
        let isTopic =
            text.utf8.count <= 200 && !text.hasPrefix("/") && !text.hasSuffix("/") && !text.hasPrefix("$")
            && !text.contains("//")
            && text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7F && $0 != "+" && $0 != "#" }
        return isTopic ? text : nil
    }
}
