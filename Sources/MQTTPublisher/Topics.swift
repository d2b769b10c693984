import EventMessages

/// The topics below the configured one.
struct Topics: Sendable {
    let base: String

    /// Retained: `online`, or `offline` once the broker has lost the daemon.
    var availability: String { "\(base)/status" }

    func topic(of message: MessageHeader) -> String {
        switch message.type {
        case .onset, .update, .offset:
            "\(base)/event/\(message.source)/\(Topics.identifier(message.event?.label ?? ""))"
        case .gap: "\(base)/gap/\(message.source)"
        case .source: source(message.source)
        case .top: "\(base)/top/\(message.source)"
        }
    }

    /// Retained: the last change of a source's state.
    func source(_ name: String) -> String { "\(base)/source/\(name)" }

    /// A label's events from all sources.
    func events(ofLabel label: String) -> String { "\(base)/event/+/\(Topics.identifier(label))" }

    /// A text as a topic level and an identifier: `[a-z0-9_]+`, distinct for distinct texts.
    ///
    /// Lower-case letters and digits stand for themselves and a space for `_`; a text with anything else gets a hash at
    /// its end.
    static func identifier(_ text: String) -> String {
        var plain = true
        let mapped = text.unicodeScalars.map { scalar -> Character in
            switch scalar {
            case "a"..."z", "0"..."9": return Character(scalar)
            case " ": return "_"
            case "A"..."Z":
                plain = false
                return Character(Unicode.Scalar(scalar.value + 32)!)
            default:
                plain = false
                return "_"
            }
        }
        return plain && !mapped.isEmpty ? String(mapped) : "\(String(mapped))_\(hash(text))"
    }

    /// FNV-1a, 32 bits, which are many for the labels of one file.
    private static func hash(_ text: String) -> String {
        let value = text.utf8.reduce(UInt32(0x811C_9DC5)) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}
