import Foundation
import TestSupport
import Testing

/// `earshot doctor`, on set-ups that lack one thing each.
@Suite(.serialized, .enabled(if: Product.isBuilt, "the programs are not built"), .timeLimit(.minutes(2)))
struct DoctorTests {
    private let place: Workplace
    private let recording: String

    init() throws {
        place = try Workplace()
        recording = try place.folder.write("a.wav", waveFile(noise(seconds: 2, sampleRate: 8000), sampleRate: 8000))
    }

    private struct Diagnosis {
        let outcome: Outcome
        let checks: [[String: Any]]
        let isHealthy: Bool?

        /// The verdict, message and advice of a check.
        subscript(name: String) -> (verdict: String, message: String, advice: String?)? {
            guard let check = checks.first(where: { $0["check"] as? String == name }) else { return nil }
            return (check["verdict"] as? String ?? "", check["message"] as? String ?? "", check["advice"] as? String)
        }

        /// The names of the checks that failed.
        var failed: [String] {
            checks.filter { $0["verdict"] as? String == "fail" }.compactMap { $0["check"] as? String }
        }
    }

    /// - Parameters:
    ///   - lines: Added to a configuration in which all is well, or instead of those with the same key.
    ///   - properties: What `systemctl show` prints; nil for a machine without systemd.
    private func diagnose(_ lines: String..., properties: [String]? = nil) async throws -> Diagnosis {
        var settings = [
            "model: \(place.model)", "text_encoder: \(place.folder.file("none"))",
            "cache_directory: \(place.folder.file("cache"))", "labels: [dog]",
            "store: {path: \(place.folder.file("events.db"))}",
            "sources: [{name: file, device: \(recording)}]", "socket: {path: \(place.folder.file("e.sock"))}",
        ]
        for line in lines {
            let key = line.prefix { $0 != ":" } + ":"
            settings.removeAll { $0.hasPrefix(key) }
            settings.append(line)
        }
        let file = try place.folder.write("earshot.yaml", settings.joined(separator: "\n") + "\n")
        // In place of the system's: what a service manager says is not this test's to arrange.
        let text = properties.map { "cat <<'END'\n\($0.joined(separator: "\n"))\nEND\n" } ?? "exit 1\n"
        let systemctl = try place.folder.write("systemctl", "#!/bin/sh\n" + text)
        chmod(systemctl, 0o755)
        let path = "\(place.folder.path):\(ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin")"
        let outcome = try await run("earshot", ["doctor", "--json", "--config", file], environment: ["PATH": path])
        let report = try jsonObject(outcome.output.joined())
        return Diagnosis(
            outcome: outcome, checks: report["checks"] as? [[String: Any]] ?? [], isHealthy: report["healthy"] as? Bool)
    }

    private static let active = [
        "LoadState=loaded", "ActiveState=active", "SubState=running", "Result=success", "NRestarts=0",
        "WatchdogUSec=0", "NeedDaemonReload=no",
    ]

    @Test func goodSetUpPasses() async throws {
        let labels = try place.labelFile("dog")
        let metrics = place.folder.file("m.sock")
        let daemon = try await TestDaemon(
            place,
            [
                "--config",
                try place.folder.write(
                    "daemon.yaml",
                    """
                    labels: [\(labels)]
                    sources: [{name: file, device: "-"}]
                    metrics: {listen: \(metrics)}
                    control: {path: \(place.folder.file("c.sock"))}
                    """),
            ], hasInput: true)
        let good = try await diagnose(
            "metrics: {listen: \(metrics)}", "control: {path: \(place.folder.file("c.sock"))}", properties: Self.active)
        #expect(good.outcome.exit == .status(0) && good.outcome.errors.isEmpty, "\(good)")
        #expect(good.isHealthy == true && good.failed.isEmpty, "\(good)")
        for name in ["configuration", "model", "labels", "text encoder", "unit", "socket", "control", "metrics"] {
            #expect(good[name]?.verdict == "ok", "\(name): \(good)")
        }
        #expect(good["socket"]?.message.contains("answers: earshotd") == true, "\(good)")
        // Noise of half the range, uniform.
        let level = good["source file"]?.message.firstMatch(of: /8000 Hz, 1 channel.*level (-[0-9.]+) dBFS/)
        #expect((-30 ... -3).contains(Double(level?.1 ?? "0") ?? 0), "\(good)")
        #expect(good["watchdog"]?.verdict == "warn", "it is off: \(good)")
        try await daemon.stop()

        // For people: one line each.
        let text = try await run("earshot", ["doctor", "--config", place.folder.file("earshot.yaml")])
        #expect(text.output.count >= good.checks.count - 1, "\(text)")
        #expect(text.output.allSatisfy { $0.wholeMatch(of: /(ok|warn|fail) +[a-z].*: .*/) != nil }, "\(text)")
    }

    @Test func wrongConfigurationFails() async throws {
        let wrong = try await diagnose("lables: [dog]")
        #expect(wrong.outcome.exit == .status(1) && wrong.failed == ["configuration"], "\(wrong)")
        #expect(wrong["configuration"]?.message.contains("earshot.yaml:8: lables: unknown setting") == true, "\(wrong)")
        let missing = try await run("earshot", ["doctor", "--config", place.folder.file("no.yaml")])
        #expect(missing.exit == .status(1) && missing.output.count == 1, "\(missing)")
        #expect(missing.output[0].hasPrefix("fail  configuration: "), "\(missing)")
    }

    @Test func missingOrDamagedModelFails() async throws {
        let missing = try await diagnose("model: \(place.folder.file("nowhere"))")
        #expect(missing.outcome.exit == .status(1) && missing.failed.contains("model"), "\(missing)")
        #expect(missing["model"]?.advice?.contains("make install") == true, "\(missing)")

        // The golden file of the committed model holds for the derived one, whose encoder is the same.
        let golden = try #require(committedModelPath()) + "/golden.safetensors"
        let copy = place.model + "/golden.safetensors"
        var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: golden)))
        try write(bytes, to: copy)
        let good = try await diagnose()
        #expect(good["model test"]?.verdict == "ok", "\(good)")
        #expect(good["model test"]?.message.contains("are reproduced") == true, "\(good)")
        // Other input than the outputs are from: a log-mel of zeros.
        let header = bytes[..<8].enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
        let object = try JSONSerialization.jsonObject(with: Data(bytes[8..<(8 + header)]))
        let tensors = try #require(object as? [String: [String: Any]])
        let offsets = try #require(tensors["logmel"]?["data_offsets"] as? [Int])
        for index in (8 + header + offsets[0])..<(8 + header + offsets[1]) { bytes[index] = 0 }
        try write(bytes, to: copy)
        let bad = try await diagnose()
        #expect(bad.outcome.exit == .status(1) && bad.failed == ["model test"], "\(bad)")
    }

    @Test func wrongLabelsFail() async throws {
        let file = try place.labelFile("dog", "siren [threshold=9]")
        let wrong = try await diagnose("labels: [\(file)]")
        #expect(wrong.outcome.exit == .status(1) && wrong.failed == ["labels"], "\(wrong)")
        #expect(wrong["labels"]?.message.contains("labels.txt:2") == true, "\(wrong)")
        let own = try await diagnose("labels: [a purple elephant dancing]")
        #expect(own.outcome.exit == .status(1) && own.failed == ["text encoder"], "\(own)")
        #expect(own["text encoder"]?.message.contains("1 prompts need it") == true, "\(own)")
        #expect(own["text encoder"]?.advice?.contains("make text-encoder") == true, "\(own)")
    }

    @Test func deadDevicesFail() async throws {
        let raw = try place.folder.write("silence.raw", rawSamples(silence(seconds: 60)))
        let alsa = try place.folder.write(
            "asound.conf",
            """
            pcm.dead { type file; slave.pcm { type null }; file /dev/null; infile "\(raw)"; format raw }
            """)
        let file = try place.folder.write(
            "earshot.yaml",
            """
            model: \(place.model)
            labels: [dog]
            socket: {path: \(place.folder.file("e.sock"))}
            sources:
              - {name: gone, device: "alsa:no_such_device"}
              - {name: dead, device: "alsa:dead"}
              - {name: lost, device: \(place.folder.file("no.wav"))}
            """)
        let outcome = try await run("earshot", ["doctor", "--config", file], environment: ["ALSA_CONFIG_PATH": alsa])
        #expect(outcome.exit == .status(1), "\(outcome)")
        func line(_ name: String) -> String { outcome.output.first { $0.contains("source \(name): ") } ?? "" }
        #expect(line("gone").hasPrefix("fail") && line("gone").contains("no such capture device"), "\(outcome)")
        #expect(line("gone").contains("-> `earshot devices` lists"), "\(outcome)")
        #expect(line("dead").hasPrefix("warn") && line("dead").contains("nothing but digital silence"), "\(outcome)")
        #expect(line("dead").contains("alsamixer"), "\(outcome)")
        #expect(line("lost").hasPrefix("fail") && line("lost").contains("no.wav: no such file"), "\(outcome)")
    }

    @Test func failedUnitFails() async throws {
        let failed = try await diagnose(properties: [
            "LoadState=loaded", "ActiveState=failed", "SubState=failed", "Result=exit-code", "NRestarts=5",
        ])
        #expect(failed.outcome.exit == .status(1) && failed.failed == ["unit"], "\(failed)")
        #expect(failed["unit"]?.message.contains("result exit-code") == true, "\(failed)")
        #expect(failed["unit"]?.advice?.contains("journalctl") == true, "\(failed)")
        let absent = try await diagnose(properties: ["LoadState=not-found", "ActiveState=inactive"])
        #expect(absent.failed.isEmpty && absent["unit"]?.verdict == "warn", "\(absent)")
        let none = try await diagnose()
        #expect(none.outcome.exit == .status(0) && none["unit"]?.message.contains("no systemd") == true, "\(none)")
    }

    @Test func unfedWatchdogFails() async throws {
        func watchdog(fed microseconds: Int) async throws -> Diagnosis {
            try await diagnose(
                properties: [
                    "LoadState=loaded", "ActiveState=active", "SubState=running", "WatchdogUSec=30s",
                    "WatchdogTimestampMonotonic=\(microseconds)",
                ])
        }
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        let fed = try await watchdog(fed: now.tv_sec * 1_000_000 - 1_000_000)
        #expect(fed["watchdog"]?.verdict == "ok", "\(fed)")
        let late = try await watchdog(fed: max(1, (now.tv_sec - 60) * 1_000_000))
        #expect(late.outcome.exit == .status(1) && late.failed.contains("watchdog"), "\(late)")
        #expect(late["watchdog"]?.message.contains("limit 30s") == true, "\(late)")
    }

    @Test func deadSocketFails() async throws {
        // The unit is active, and nothing is there.
        let absent = try await diagnose(properties: Self.active)
        #expect(absent.outcome.exit == .status(1) && absent.failed == ["socket"], "\(absent)")
        // Without a daemon that is as it should be.
        #expect(try await diagnose()["socket"]?.verdict == "warn")

        // Left behind by a daemon that was killed.
        let labels = try place.labelFile("dog")
        let daemon = try await TestDaemon(place, ["--source", "-", "--labels", labels], hasInput: true)
        daemon.program.send(SIGKILL)
        _ = try await daemon.program.exit()
        let stale = try await diagnose()
        #expect(stale.failed == ["socket"], "\(stale)")
        #expect(stale["socket"]?.message.contains("no earshotd listens on this socket") == true, "\(stale)")
    }

    @Test func damagedStoreFails() async throws {
        let labels = try place.labelFile("dog")
        let store = place.folder.file("events.db")
        #expect(try await diagnose()["store"]?.verdict == "warn", "there is none yet")
        let daemon = try await TestDaemon(
            place, ["--source", "-", "--labels", labels, "--store", store], hasInput: true)
        try await daemon.program.write(sound(3) + stillness(4))
        _ = try await daemon.subscriber().subscriber.message("offset")
        let good = try await diagnose()
        #expect(good["store"]?.verdict == "ok" && good["store"]?.message.contains(store) == true, "\(good)")
        try await daemon.stop()
        try write([UInt8](repeating: 0x55, count: 20_000), to: store)
        let bad = try await diagnose()
        #expect(bad.outcome.exit == .status(1) && bad.failed == ["store"], "\(bad)")
        #expect(bad["store"]?.advice?.contains("sets the file aside") == true, "\(bad)")
        #expect(try await diagnose("store: off")["store"]?.verdict == "ok")
    }

    @Test func otherRightsAreSeen() async throws {
        let labels = try place.labelFile("dog")
        let daemon = try await TestDaemon(place, ["--source", "-", "--labels", labels], hasInput: true)
        chmod(daemon.socket, 0o777)
        let open = try await diagnose("control: {path: \(place.folder.file("c.sock"))}")
        #expect(open["socket"]?.verdict == "warn", "\(open)")
        #expect(open["socket"]?.message.contains("its mode is 0777 instead of 0660") == true, "\(open)")
        #expect(open.failed == ["control"], "a daemon runs, and there is no control socket: \(open)")
        try await daemon.stop()
    }

    @Test func missingMetricsFail() async throws {
        let labels = try place.labelFile("dog")
        let daemon = try await TestDaemon(place, ["--source", "-", "--labels", labels], hasInput: true)
        let absent = try await diagnose("metrics: {listen: \(place.folder.file("m.sock"))}")
        #expect(absent.failed == ["metrics"], "\(absent)")
        // Something else that answers: the event socket.
        let other = try await diagnose("metrics: {listen: \(daemon.socket)}")
        #expect(other.failed == ["metrics"], "\(other)")
        try await daemon.stop()
    }
}
