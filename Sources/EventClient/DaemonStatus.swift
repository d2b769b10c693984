package import Foundation

/// The reply to `status`, as far as programs of this package judge by it; what an older daemon lacks is nil.
package struct DaemonStatus: Decodable, Sendable {
    package struct Source: Decodable, Sendable {
        package var name: String
        package var device: String
        /// `up`, `down`, `silent`, …
        package var state: String
        package var opening: String?
        package var problem: String?
        package var audioSeconds: Double?
        package var events: Int?
        package var gaps: Int?
        package var lostSeconds: Double?
        package var backlogSeconds: Double?
        package var levelDbfs: Double?
        package var lastGap: String?
    }

    package struct Server: Decodable, Sendable {
        package var socket: String?
        package var clients: Int?
        package var lagged: Int?
        package var missed: Int?
    }

    /// The event store.
    package struct Store: Decodable, Sendable {
        /// `ok`, `full`, `failed`, or `off`.
        package var state: String?
        package var path: String?
        /// Why it takes no messages at the moment.
        package var problem: String?
        package var sizeBytes: Int?
        /// Messages that are not stored yet, and that never will be.
        package var pending: Int?
        package var notStored: Int?
    }

    package struct Mute: Decodable, Sendable {
        package var labels: String
        package var seconds: Double
    }

    package var version: String
    package var model: String
    package var labels: Int
    /// The daemon's clock, UTC.
    package var time: String?
    package var uptimeSeconds: Double?
    package var reloadProblem: String?
    package var sources: [Source]
    package var server: Server?
    package var store: Store?
    package var muted: [Mute]?
    /// Set through the control socket, by label.
    package var thresholds: [String: Double]?

    /// - Parameter json: The `result` of `status`.
    /// - Throws: `DecodingError` for what is no such reply.
    package init(json: Data) throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        self = try decoder.decode(DaemonStatus.self, from: json)
    }

    // MARK: Health

    /// What counts as healthy.
    package struct Limits: Sendable {
        /// Seconds of audio that may wait for inference.
        package var backlog = 2.0
        /// Audio lost within so many seconds is a problem; what was lost before is history.
        package var window = 600.0

        package init() {}
    }

    /// Why the daemon is not healthy, one line for each reason; empty if it is.
    package func problems(_ limits: Limits) -> [String] {
        var problems: [String] = []
        if sources.isEmpty { problems.append("there is no source") }
        for source in sources {
            if source.state != "up" {
                let reason = source.problem.map { ": \($0)" } ?? ""
                problems.append("source \(source.name) is \(source.state)\(reason)")
            }
            if let backlog = source.backlogSeconds, backlog > limits.backlog {
                problems.append(
                    "source \(source.name): \(text(backlog)) s of audio wait for inference (limit \(text(limits.backlog)) s)"
                )
            }
            if let age = age(of: source.lastGap), age <= limits.window {
                problems.append(
                    "source \(source.name): audio was lost \(text(age)) s ago (\(source.gaps ?? 0) gaps, "
                        + "\(text(source.lostSeconds ?? 0)) s since the start)")
            }
        }
        if let store, let state = store.state, !["ok", "off"].contains(state) {
            problems.append("the event store takes no events (\(state))" + (store.problem.map { ": \($0)" } ?? ""))
        }
        if let problem = reloadProblem { problems.append("the last reload failed: \(problem)") }
        return problems
    }

    /// Seconds by the daemon's clock since a time that it gives.
    private func age(of timestamp: String?) -> Double? {
        func date(_ text: String) -> Date? {
            try? Date.ISO8601FormatStyle(includingFractionalSeconds: true).parse(text)
        }
        guard let then = timestamp.flatMap(date) else { return nil }
        return max(0, (time.flatMap(date) ?? Date()).timeIntervalSince(then))
    }

    private func text(_ value: Double) -> String {
        let rounded = (value * 10).rounded() / 10
        return rounded == rounded.rounded() ? "\(Int64(rounded))" : "\(rounded)"
    }

    // MARK: For people

    /// The state in a few lines.
    package var summary: [String] {
        var lines = [
            "earshotd \(version), model \(model), \(labels) labels"
                + (uptimeSeconds.map { ", up for \(Self.length($0))" } ?? "")
        ]
        for source in sources {
            var facts = ["\(source.name): \(source.state)"]
            if let seconds = source.audioSeconds { facts.append("\(Self.length(seconds)) of audio") }
            if let events = source.events { facts.append("\(events) events") }
            if let gaps = source.gaps {
                facts.append(gaps == 0 ? "no gap" : "\(gaps) gaps (\(text(source.lostSeconds ?? 0)) s lost)")
            }
            if let backlog = source.backlogSeconds { facts.append("backlog \(text(backlog)) s") }
            if let level = source.levelDbfs { facts.append("level \(text(level)) dBFS") }
            lines.append(facts.joined(separator: ", "))
            if let detail = source.problem ?? source.opening, !detail.isEmpty { lines.append("    \(detail)") }
        }
        if let server {
            lines.append(
                "clients: \(server.clients ?? 0), \(server.missed ?? 0) messages missed by slow ones since the start")
        }
        if let store, let path = store.path {
            lines.append(
                "store: \(path), \((store.sizeBytes ?? 0) / 1024) KiB, \(store.notStored ?? 0) messages not stored"
                    + (store.problem.map { "; \($0)" } ?? ""))
        }
        for mute in muted ?? [] { lines.append("muted: \(mute.labels) for \(Self.length(mute.seconds))") }
        for (label, on) in (thresholds ?? [:]).sorted(by: { $0.key < $1.key }) {
            lines.append("threshold of \(label): \(on) until the next reload")
        }
        if let reloadProblem { lines.append("the last reload failed: \(reloadProblem)") }
        return lines
    }

    /// A length of time in its two largest units.
    static func length(_ seconds: Double) -> String {
        let total = Int(max(0, seconds.rounded()))
        let (days, hours, minutes) = (total / 86_400, total / 3600 % 24, total / 60 % 60)
        if days > 0 { return "\(days) d \(hours) h" }
        if hours > 0 { return "\(hours) h \(minutes) min" }
        if minutes > 0 { return "\(minutes) min \(total % 60) s" }
        return "\(total) s"
    }
}
