#if canImport(Glibc)
    import Glibc
#endif

/// Where metrics are served, if at all.
package struct MetricsConfiguration: Sendable, Equatable {
    package enum Address: Sendable, Equatable {
        /// A literal IPv4 or IPv6 address, without brackets.
        case tcp(host: String, port: Int)
        case unix(path: String)

        /// - Parameter text: `127.0.0.1:9797`, `[::1]:9797`, `localhost:9797`, or an absolute path.
        init?(_ text: String) {
            if text.hasPrefix("/") {
                self = .unix(path: text)
                return
            }
            guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
                (1...65_535).contains(port)
            else { return nil }
            var host = String(text[..<colon])
            if host == "localhost" { host = "127.0.0.1" }
            if host.hasPrefix("["), host.hasSuffix("]") {
                host = String(host.dropFirst().dropLast())
                guard Self.isAddress(host, family: AF_INET6) else { return nil }
            } else if !Self.isAddress(host, family: AF_INET) {
                return nil
            }
            self = .tcp(host: host, port: port)
        }

        /// Whether only programs of this machine can connect.
        package var isLocal: Bool {
            switch self {
            case .unix: true
            case .tcp(let host, _): host == "::1" || host.hasPrefix("127.")
            }
        }

        private static func isAddress(_ text: String, family: CInt) -> Bool {
            var address = in6_addr()
            return inet_pton(family, text, &address) == 1
        }
    }

    /// Nil for no metrics.
    package var address: Address?
    /// Whether the address may be one that other machines can reach.
    package var allowsRemote = false

    package init() {}
}

extension MetricsConfiguration {
    static let keys = ["listen", "allow_remote"]

    mutating func read(_ section: MappingReader) {
        allowsRemote = section.boolean("allow_remote") ?? false
        let form = "an address with its port, such as 127.0.0.1:9797, or the absolute path of a socket"
        guard let address = section.value("listen", form, { Address($0) }) else {
            if section.node("listen") == nil { section.report("listen", "is missing; give \(form)") }
            return
        }
        guard address.isLocal || allowsRemote else {
            return section.report(
                "listen",
                "other machines may reach this address, and metrics tell what is heard here; use 127.0.0.1 or [::1], or "
                    + "set metrics.allow_remote: true")
        }
        self.address = address
    }
}
