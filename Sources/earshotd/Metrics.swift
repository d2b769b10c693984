import DetectionPipeline
import EventMessages
import MetricsServer

/// A number in the reply to `status` and the metric that it is served as.
private struct StatusMetric {
    let member: String
    let name: String
    let kind: MetricFamily.Kind
    let help: String

    init(_ member: String, _ name: String, _ kind: MetricFamily.Kind, _ help: String) {
        (self.member, self.name, self.kind, self.help) = (member, name, kind, help)
    }

    /// Of each source.
    static let source = [
        StatusMetric("audio_seconds", "earshot_audio_seconds_total", .counter, "Audio listened to, in seconds."),
        StatusMetric("gaps", "earshot_gaps_total", .counter, "Stretches of lost audio."),
        StatusMetric("lost_seconds", "earshot_lost_seconds_total", .counter, "Audio lost, in seconds."),
        StatusMetric("overruns", "earshot_overruns_total", .counter, "Times that the device's buffer ran over."),
        StatusMetric(
            "dropped_frames", "earshot_dropped_frames_total", .counter, "Frames dropped because inference was behind."),
        StatusMetric("restarts", "earshot_restarts_total", .counter, "Times that the source was opened again."),
        StatusMetric(
            "backlog_seconds", "earshot_backlog_seconds", .gauge, "Audio that waits for inference, in seconds."),
        StatusMetric(
            "window_stride", "earshot_window_stride", .gauge, "One window of so many is matched; 1 unless overloaded."),
        StatusMetric("skipped_windows", "earshot_skipped_windows_total", .counter, "Windows that were not matched."),
        StatusMetric("level_dbfs", "earshot_level_dbfs", .gauge, "Level of the newest audio in dBFS."),
    ]

    /// Of the event socket.
    static let server = [
        StatusMetric("clients", "earshot_subscribers", .gauge, "Clients of the event socket."),
        StatusMetric("seq", "earshot_sequence", .gauge, "Number of the newest message."),
        StatusMetric("accepted", "earshot_clients_accepted_total", .counter, "Clients that came."),
        StatusMetric("refused", "earshot_clients_refused_total", .counter, "Clients turned away: too many."),
        StatusMetric(
            "closed_slow", "earshot_clients_closed_slow_total", .counter, "Clients closed: they did not read."),
        StatusMetric("lagged", "earshot_lagged_total", .counter, "Holes that slow clients were told of."),
        StatusMetric("missed", "earshot_missed_messages_total", .counter, "Messages that slow clients missed."),
        StatusMetric(
            "hand_over_dropped", "earshot_hand_over_dropped_total", .counter, "Messages lost before any client."),
        StatusMetric("sent", "earshot_sent_messages_total", .counter, "Messages sent to clients."),
        StatusMetric("requests", "earshot_requests_total", .counter, "Requests of clients."),
        StatusMetric("request_errors", "earshot_request_errors_total", .counter, "Requests that were refused."),
    ]

    /// Of the event store.
    static let store = [
        StatusMetric("size_bytes", "earshot_store_bytes", .gauge, "Size of the event store on the disk."),
        StatusMetric("pending", "earshot_store_pending", .gauge, "Messages that are not stored yet."),
        StatusMetric("not_stored", "earshot_store_lost_total", .counter, "Messages that were never stored."),
    ]

    /// Of the whole daemon.
    static let daemon = [
        StatusMetric("labels", "earshot_labels", .gauge, "Labels listened for."),
        StatusMetric("reloads", "earshot_reloads_total", .counter, "Reloads that were carried out."),
        StatusMetric("uptime_seconds", "earshot_uptime_seconds", .gauge, "Seconds since the start."),
    ]

    func family(_ samples: [(status: JSONValue?, labels: [MetricFamily.Label])]) -> MetricFamily {
        var family = MetricFamily(name, kind, help)
        for (status, labels) in samples {
            if let value = status?[member]?.double { family.add(value, labels) }
        }
        return family
    }
}

/// The daemon's metrics: the numbers of `status` under their own names, and what has more than one value.
///
/// - Parameters:
///   - status: The reply to `status`.
///   - snapshots: Each source by name.
func metricFamilies(
    status: JSONValue, snapshots: [(name: String, snapshot: SourceListener.Snapshot)], tally: ReportTally
) -> [MetricFamily] {
    var families: [MetricFamily] = []
    var build = MetricFamily("earshot_build_info", .gauge, "1; version and model are in the labels.")
    build.add(
        1, .init("version", status["version"]?.text ?? ""), .init("model", status["model"]?.text ?? ""))
    families.append(build)
    families += StatusMetric.daemon.map { $0.family([(status, [])]) }
    var reload = MetricFamily("earshot_reload_failed", .gauge, "1 if the last reload failed.")
    reload.add(status["reload_problem"]?.text == nil ? 0 : 1)
    families.append(reload)

    var sources: [(status: JSONValue?, labels: [MetricFamily.Label])] = []
    if case .array(let all)? = status["sources"] {
        sources = all.map { ($0, [.init("source", $0["name"]?.text ?? "")]) }
    }
    families += StatusMetric.source.map { $0.family(sources) }
    var state = MetricFamily("earshot_source_state", .gauge, "1 for the state that the source is in.")
    for (source, labels) in sources {
        let now = source?["state"]?.text ?? ""
        let states = SourceListener.State.allCases.map(\.rawValue)
        for name in states + (states.contains(now) ? [] : [now]) {
            state.add(name == now ? 1 : 0, labels + [.init("state", name)])
        }
    }
    families.append(state)

    var events = MetricFamily("earshot_events_total", .counter, "Events that began.")
    var steps = MetricFamily("earshot_step_seconds", .histogram, "Time that inference took per step, in seconds.")
    for (name, snapshot) in snapshots {
        let source = MetricFamily.Label("source", name)
        for (label, count) in tally[name].onsets.sorted(by: { $0.key < $1.key }) {
            events.add(Double(count), source, .init("label", label))
        }
        steps.addHistogram(
            counts: snapshot.stepTimes.counts, bounds: StepTimes.bounds, sum: snapshot.stepTimes.sum, source)
    }
    families += [events, steps]
    families += StatusMetric.server.map { $0.family([(status["server"], [])]) }
    families += StatusMetric.store.map { $0.family([(status["store"], [])]) }
    var storing = MetricFamily("earshot_store_failed", .gauge, "1 while the event store takes no events.")
    if let state = status["store"]?["state"]?.text, state != "off" { storing.add(state == "ok" ? 0 : 1) }
    families.append(storing)
    return families
}

extension JSONValue {
    fileprivate var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        case .boolean(let value): value ? 1 : 0
        default: nil
        }
    }

    fileprivate var text: String? {
        if case .string(let value) = self { value } else { nil }
    }
}
