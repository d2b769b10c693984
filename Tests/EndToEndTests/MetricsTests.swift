import Foundation
import TestSupport
import Testing

/// What an operator sees of the daemon: metrics, state, health.
@Suite(.serialized, .enabled(if: Product.isBuilt, "the programs are not built"), .timeLimit(.minutes(2)))
struct MetricsTests {
    /// A body served over HTTP on a Unix socket.
    private func scrape(_ path: String) async throws -> String {
        let client = try Subscriber(path)
        try client.send("GET /metrics HTTP/1.1\r\nHost: earshot\r\n\r")
        let lines = try await client.lines.rest().map(\.text)
        let end = try #require(lines.firstIndex(of: "\r"), "\(lines)")
        #expect(lines.first == "HTTP/1.1 200 OK\r", "\(lines.prefix(5))")
        return lines[(end + 1)...].joined(separator: "\n") + "\n"
    }

    @Test func metricsTellWhatStatusTells() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog", #"glass "breaking" = This is a sound of siren."#)
        let socket = place.folder.file("metrics.sock")
        let configuration = try place.folder.write(
            "earshot.yaml",
            """
            labels: [\(labels)]
            sources: [{name: pipe, device: "-"}]
            metrics: {listen: \(socket)}
            store: {path: \(place.folder.file("events.db"))}
            """)
        let daemon = try await TestDaemon(place, ["--config", configuration], hasInput: true)
        let (client, _) = try await daemon.subscriber()
        try await daemon.program.write(sound(3) + stillness(4))
        // Whichever label is nearer to noise.
        let label = try #require(try await client.message("onset")["label"])
        _ = try await client.message("offset") { $0["label"] as? String == label }
        try await eventually("all of the audio is heard") {
            try await daemon.source(client)["audio_seconds"] as? Double ?? 0 > 6.5
        }

        let metrics = try Exposition(try await scrape(socket))
        let status = try await client.result("status")
        let source = try #require((status["sources"] as? [[String: Any]])?.first)
        let escaped = label.replacing("\"", with: "\\\"")
        let events = try #require(source["events_by_label"] as? [String: Int])
        #expect(metrics[#"earshot_events_total{label="\#(escaped)",source="pipe"}"#] == Double(events[label] ?? 0))
        #expect(events.values.reduce(0, +) == source["events"] as? Int)
        #expect(metrics[#"earshot_source_state{source="pipe",state="up"}"#] == 1)
        #expect(metrics[#"earshot_source_state{source="pipe",state="down"}"#] == 0)
        for name in ["gaps_total", "lost_seconds_total", "overruns_total", "dropped_frames_total", "restarts_total"] {
            #expect(metrics[#"earshot_\#(name){source="pipe"}"#] == 0, "\(name)")
        }
        let audio = try #require(metrics[#"earshot_audio_seconds_total{source="pipe"}"#])
        #expect((6...7).contains(audio), "\(audio)")
        #expect(metrics[#"earshot_backlog_seconds{source="pipe"}"#] != nil)
        #expect(metrics["earshot_subscribers"] == 1 && metrics["earshot_lagged_total"] == 0)
        #expect(metrics["earshot_labels"] == 2 && metrics["earshot_reloads_total"] == 0)
        #expect(metrics.samples.keys.contains { $0.hasPrefix("earshot_build_info{model=\"earshot-mn04\",version=") })

        #expect(metrics["earshot_store_failed"] == 0 && metrics["earshot_store_lost_total"] == 0)
        #expect(try #require(metrics["earshot_store_bytes"]) > 0)

        // A step is 160 ms: so many were timed as there was audio, and each took some time.
        let steps = try #require(metrics[#"earshot_step_seconds_count{source="pipe"}"#])
        #expect((audio / 0.16 - 12...audio / 0.16 + 1).contains(steps), "\(steps) steps in \(audio) s")
        let sum = try #require(metrics[#"earshot_step_seconds_sum{source="pipe"}"#])
        #expect(sum > 0 && sum < 60)
        #expect(metrics.families["earshot_step_seconds"]?.type == "histogram")
        #expect((source["step_seconds_mean"] as? Double ?? 0) > 0)
        try await daemon.stop()
        #expect(access(socket, F_OK) != 0, "the metrics socket is gone")
    }

    @Test func remoteAddressesNeedAWord() async throws {
        let place = try Workplace()
        let configuration = try place.folder.write(
            "earshot.yaml", "labels: [dog]\nmetrics:\n  listen: 0.0.0.0:9797\n")
        let outcome = try await run("earshotd", place.options + ["--config", configuration])
        #expect(outcome.exit == .status(2) && outcome.errors.count == 1, "\(outcome)")
        #expect(outcome.errors.first?.contains("earshot.yaml:3: metrics.listen: other machines may reach") == true)
        #expect(outcome.errors.first?.contains("metrics.allow_remote: true") == true)
    }

    @Test func statusIsForPeopleAndPrograms() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog")
        let daemon = try await TestDaemon(place, ["--source", "-", "--labels", labels], hasInput: true)
        try await daemon.program.write(stillness(2))
        let (client, _) = try await daemon.subscriber()
        while try await daemon.source(client)["state"] as? String != "up" {
            try await Task.sleep(for: .milliseconds(20))
        }
        let text = try await run("earshot", ["status", "--socket", daemon.socket])
        #expect(text.exit == .status(0) && text.errors.isEmpty, "\(text)")
        #expect(text.output.first?.contains("model earshot-mn04, 1 labels, up for") == true, "\(text)")
        #expect(text.output.contains { $0.hasPrefix("source: up, ") && $0.contains("no gap") }, "\(text)")
        #expect(text.output.contains { $0.hasPrefix("clients: 2") }, "\(text)")
        let json = try await run("earshot", ["status", "--json", "--socket", daemon.socket])
        #expect(json.output.count == 1)
        #expect(try jsonObject(json.output.joined())["labels"] as? Int == 1)
        try await daemon.stop()
    }

    @Test func checkSaysWhyNot() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog")
        let configuration = try place.folder.write(
            "earshot.yaml",
            """
            labels: [\(labels)]
            sources: [{name: pipe, device: "-"}, {name: mic, device: "alsa:no_such_device"}]
            """)
        let daemon = try await TestDaemon(place, ["--config", configuration], hasInput: true)
        func check(_ arguments: String...) async throws -> Outcome {
            try await run("earshot", ["status", "--check", "--socket", daemon.socket] + arguments)
        }
        let (client, _) = try await daemon.subscriber()
        // A source is up when audio has come.
        try await daemon.program.write(stillness(1))
        while true {
            let sources = try await client.result("status")["sources"] as? [[String: Any]] ?? []
            if sources.map({ $0["state"] as? String }) == ["up", "down"] { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        let down = try await check()
        #expect(down.exit == .status(1) && down.errors.isEmpty, "\(down)")
        #expect(down.output.count == 1 && down.output[0].hasPrefix("source mic is down: "), "\(down)")

        // Without the missing device all is well.
        try await daemon.stop()
        let healthy = try await TestDaemon(place, ["--source", "-", "--labels", labels], hasInput: true)
        let (other, _) = try await healthy.subscriber()
        try await healthy.program.write(stillness(1))
        while try await healthy.source(other)["state"] as? String != "up" {
            try await Task.sleep(for: .milliseconds(20))
        }
        let good = try await check()
        #expect(good.exit == .status(0) && good.output.count == 1, "\(good)")
        #expect(good.output[0].hasPrefix("OK: 1 sources up"), "\(good)")

        // A reload that failed.
        _ = try place.labelFile("dog [threshold=9]")
        healthy.program.send(SIGHUP)
        _ = try await healthy.program.errors.first("outcome of the reload") { $0.text.contains("reload failed") }
        let reload = try await check()
        #expect(reload.exit == .status(1) && reload.output.count == 1, "\(reload)")
        #expect(reload.output[0].hasPrefix("the last reload failed: ") && reload.output[0].contains("labels.txt:1"))

        // One that does not answer, and none at all.
        healthy.program.send(SIGSTOP)
        let stuck = try await check("--timeout", "0.5")
        #expect(stuck.exit == .status(1) && stuck.output.count == 1, "\(stuck)")
        #expect(stuck.output[0].contains("does not answer within 0.5 s"), "\(stuck)")
        healthy.program.send(SIGCONT)
        try await healthy.stop()
        let absent = try await check()
        #expect(absent.exit == .status(1) && absent.output.count == 1, "\(absent)")
        #expect(absent.output[0].contains("there is no such socket; start earshotd"), "\(absent)")
        #expect(try await check("--timeout", "-1").exit == .status(2))
        #expect(try await check("--json").exit == .status(2))
    }

    /// Entries go to the journal only where standard error does: a variable left over from a parent is no proof.
    @Test func linesInATerminalStayLines() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog")
        let daemon = try await TestDaemon(
            place, ["--source", "-", "--labels", labels], environment: ["JOURNAL_STREAM": "9:12345"], hasInput: true)
        let (client, _) = try await daemon.subscriber()
        try await daemon.program.write(sound(3) + stillness(4))
        let onset = try await client.message("onset")
        let line = try await daemon.program.errors.first("line about the onset") { $0.text.contains("dog (") }
        #expect(line.text.hasPrefix("earshotd: info: source: dog ("), "\(line)")
        #expect(line.text.hasSuffix(" event=\(onset["event"] ?? "")"), "\(line)")
        let offset = try await daemon.program.errors.first("line about the offset") { $0.text.contains("is over") }
        #expect(
            offset.text.contains("source: dog is over after ")
                && offset.text.hasSuffix(" event=\(onset["event"] ?? "")"))
        try await daemon.stop()
    }
}
