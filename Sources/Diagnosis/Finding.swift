package import DaemonConfiguration

/// What one check of a set-up has found.
package struct Finding: Sendable, Equatable, Encodable {
    package enum Verdict: String, Sendable, Encodable {
        case ok
        /// Works, or is not in use, but somebody should know.
        case warn
        /// Does not work.
        case fail
    }

    /// What was looked at: `model`, `source mic`.
    package let check: String
    package let verdict: Verdict
    /// One line.
    package let message: String
    /// What to do about it; nil where there is nothing to do.
    package let advice: String?

    static func ok(_ check: String, _ message: String) -> Finding {
        Finding(check: check, verdict: .ok, message: line(message), advice: nil)
    }

    static func warn(_ check: String, _ message: String, _ advice: String?) -> Finding {
        Finding(check: check, verdict: .warn, message: line(message), advice: advice)
    }

    static func fail(_ check: String, _ message: String, _ advice: String?) -> Finding {
        Finding(check: check, verdict: .fail, message: line(message), advice: advice)
    }

    private static func line(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline).joined(separator: "; ")
    }

    /// The finding as one line for people.
    package var text: String {
        let label = verdict.rawValue.padding(to: 4)
        return "\(label)  \(check): \(message)" + (advice.map { " -> \($0)" } ?? "")
    }
}

extension String {
    fileprivate func padding(to length: Int) -> String {
        self + String(repeating: " ", count: max(0, length - count))
    }
}

extension Finding {
    /// The configuration was read.
    package static func configuration(_ path: String, _ configuration: DaemonConfiguration) -> Finding {
        let count = configuration.sources.count
        return .ok("configuration", "\(path), \(count) source\(count == 1 ? "" : "s")")
    }

    /// There is no file, and the defaults hold.
    package static func noConfiguration(_ path: String) -> Finding {
        .warn("configuration", "there is no \(path); the defaults are checked", "name another file with --config")
    }

    /// The file cannot be used.
    package static func wrongConfiguration(_ error: ConfigurationError) -> Finding {
        .fail("configuration", "\(error)", "mend these lines; every setting is explained in systemd/earshot.yaml")
    }
}
