import Glibc

/// What systemd knows of the daemon's unit.
struct ServiceState: Sendable {
    private let unit: String
    /// Nil where there is no systemd to ask.
    private let properties: [String: String]?

    private static let names = [
        "LoadState", "ActiveState", "SubState", "Result", "NRestarts", "WatchdogUSec", "WatchdogTimestampMonotonic",
        "User", "SupplementaryGroups", "NeedDaemonReload",
    ]

    init(unit: String, properties: [String: String]?) {
        self.unit = unit
        self.properties = properties
    }

    /// Asks `systemctl`.
    init(unit: String) {
        self.unit = unit
        let command = "systemctl show --property=\(Self.names.joined(separator: ",")) \(unit) 2>/dev/null"
        guard let pipe = popen(command, "re") else {
            properties = nil
            return
        }
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = fread(&bytes, 1, bytes.count, pipe)
        let pairs = String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n").compactMap { line in
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return parts.count == 2 ? (String(parts[0]), String(parts[1])) : nil
        }
        let isGood = pclose(pipe) == 0 && !pairs.isEmpty
        properties = isGood ? Dictionary(pairs) { first, _ in first } : nil
    }

    private subscript(name: String) -> String { properties?[name] ?? "" }

    var isActive: Bool { ["active", "reloading"].contains(self["ActiveState"]) }

    /// Whom the daemon runs as; nil where that is not known.
    var account: Account? {
        guard self["LoadState"] == "loaded", !self["User"].isEmpty else { return nil }
        return Account(
            named: self["User"], supplementaryGroups: self["SupplementaryGroups"].split(separator: " ").map(String.init)
        )
    }

    /// About the unit and its watchdog.
    var findings: [Finding] {
        guard properties != nil else {
            return [
                .warn("unit", "no systemd answers here (systemctl show)", "start the daemon by hand: earshotd --help")
            ]
        }
        switch self["LoadState"] {
        case "loaded": break
        case "not-found":
            return [.warn("unit", "\(unit) is not installed", "sudo make install, or install the package")]
        default:
            return [.fail("unit", "\(unit) is \(self["LoadState"])", "systemd-analyze verify \(unit) says why")]
        }
        var found: [Finding] = []
        let restarts = Int(self["NRestarts"]) ?? 0
        switch self["ActiveState"] {
        case "active", "reloading":
            let text = "\(unit) is \(self["ActiveState"]), restarted \(restarts) times since it was started by hand"
            found.append(
                restarts == 0
                    ? .ok("unit", "\(unit) is \(self["ActiveState"])") : .warn("unit", text, "journalctl -u \(unit)"))
        case "inactive":
            found.append(.warn("unit", "\(unit) is not running", "sudo systemctl enable --now \(unit)"))
        default:
            found.append(
                .fail(
                    "unit", "\(unit) is \(self["ActiveState"]) (\(self["SubState"]), result \(self["Result"]))",
                    "journalctl -u \(unit) -n 50 says why; then systemctl restart \(unit)"))
        }
        if self["NeedDaemonReload"] == "yes" {
            found.append(.warn("unit", "its file has changed since systemd read it", "sudo systemctl daemon-reload"))
        }
        if isActive { found.append(watchdog) }
        return found
    }

    private var watchdog: Finding {
        let text = self["WatchdogUSec"]
        guard let limit = Self.seconds(text), limit > 0 else {
            return .warn("watchdog", "off: a stuck daemon stays \"active\"", "set WatchdogSec=30 in \(unit)")
        }
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        let fed = (Double(self["WatchdogTimestampMonotonic"]) ?? 0) * 1e-6
        let age = Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9 - fed
        guard fed > 0, age <= limit else {
            return .fail(
                "watchdog", fed > 0 ? "last fed \(Int(age)) s ago, limit \(text)" : "never fed, limit \(text)",
                "a stage is stuck; journalctl -u \(unit) names it")
        }
        return .ok("watchdog", "fed \(Int(max(0, age))) s ago, limit \(text)")
    }

    /// The value of systemd's time spans, such as `30s`, `1min 30s` or `infinity` (nil).
    static func seconds(_ text: String) -> Double? {
        let units = ["us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86_400, "": 1e-6]
        var sum = 0.0
        for word in text.split(separator: " ") {
            guard let match = word.wholeMatch(of: /([0-9.]+)([a-z]*)/), let number = Double(match.1),
                let unit = units[String(match.2)]
            else { return nil }
            sum += number * unit
        }
        return text.isEmpty ? nil : sum
    }
}
