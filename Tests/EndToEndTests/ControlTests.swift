import Foundation
import TestSupport
import Testing

/// The control socket, and sockets that a service manager passes.
@Suite(.serialized, .enabled(if: Product.isBuilt, "the programs are not built"), .timeLimit(.minutes(2)))
struct ControlTests {
    private let place: Workplace
    private let control: String

    init() throws {
        place = try Workplace()
        control = place.folder.file("c.sock")
    }

    private func daemon(_ labels: String...) async throws -> TestDaemon {
        let file = try place.folder.write("labels.txt", labels.joined(separator: "\n") + "\n")
        let configuration = try place.folder.write(
            "earshot.yaml",
            """
            labels: [\(file)]
            sources: [{name: pipe, device: "-"}]
            control: {path: \(control)}
            """)
        return try await TestDaemon(place, ["--config", configuration], hasInput: true)
    }

    private func earshot(_ arguments: String...) async throws -> Outcome {
        try await run("earshot", ["control"] + arguments + ["--socket", control])
    }

    @Test func mutedLabelsAreNotPublished() async throws {
        let daemon = try await daemon("dog")
        let (client, _) = try await daemon.subscriber()
        try await daemon.program.write(sound(3))
        let open = try await client.message("onset")
        let muted = try await earshot("mute", "d*", "10m")
        #expect(muted.exit == .status(0) && muted.output == ["d*: muted for 10m"], "\(muted)")
        let status = try await client.result("status")
        let mutes = try #require(status["muted"] as? [[String: Any]])
        #expect(mutes.count == 1 && mutes[0]["labels"] as? String == "d*", "\(mutes)")
        #expect((590...600).contains(mutes[0]["seconds"] as? Double ?? 0), "\(mutes)")

        // The event that is open is followed to its end; the next one is not heard of.
        try await daemon.program.write(stillness(4))
        #expect(try await client.message("offset")["event"] == open["event"])
        try await daemon.program.write(sound(3) + stillness(4))
        while true {
            let mutes = try await client.result("status")["muted"] as? [[String: Any]]
            if mutes?.first?["withheld"] as? Int == 1 { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        let text = try await run("earshot", ["status", "--socket", daemon.socket])
        #expect(text.output.contains { $0.hasPrefix("muted: d* for ") && $0.contains(" min") }, "\(text)")

        let ended = try await earshot("unmute", "d*")
        #expect(ended.exit == .status(0) && ended.output == ["1 mute ended"], "\(ended)")
        let again = try await earshot("unmute", "d*")
        #expect(again.exit == .status(1) && again.errors.first?.contains("d* is not muted") == true, "\(again)")
        try await daemon.program.write(sound(3) + stillness(4))
        let next = try await client.message("onset")
        #expect(next["event"] != open["event"])
        // The muted one took no number: nothing is missing between the two.
        let events = client.lines.all.compactMap { try? jsonObject($0.text) }.filter { $0["event"] != nil }
        #expect(Set(events.compactMap { $0["event"] as? String }).count == 2, "\(events)")
        try await daemon.stop()
    }

    @Test func muteEndsByItself() async throws {
        let daemon = try await daemon("dog")
        let (client, _) = try await daemon.subscriber()
        #expect(try await earshot("mute", "dog", "0.2s").exit == .status(0))
        while try #require(try await client.result("status")["muted"] as? [Any]).count > 0 {
            try await Task.sleep(for: .milliseconds(20))
        }
        try await daemon.program.write(sound(3))
        _ = try await client.message("onset")
        try await daemon.stop()
    }

    @Test func thresholdHoldsUntilReload() async throws {
        let daemon = try await daemon("dog [threshold=0.2]", "siren")
        let (client, _) = try await daemon.subscriber()
        func threshold(_ label: String) async throws -> Double? {
            let labels = try await client.result("labels")["labels"] as? [[String: Any]]
            return labels?.first { $0["label"] as? String == label }?["threshold"] as? Double
        }
        let set = try await earshot("threshold", "dog", "0.75")
        #expect(set.exit == .status(0), "\(set)")
        #expect(try await threshold("dog") == 0.75)
        #expect(try await threshold("siren") == nil)
        let overrides = try await client.result("status")["thresholds"] as? [String: Double]
        #expect(overrides == ["dog": 0.75])

        let unknown = try await earshot("threshold", "dgo", "0.5")
        #expect(unknown.exit == .status(1) && unknown.errors.count == 1, "\(unknown)")
        #expect(unknown.errors[0].contains("there is no label \"dgo\""), "\(unknown)")
        #expect(try await earshot("threshold", "dog", "1.5").exit == .status(2))
        #expect(try await earshot("mute", "dog", "for ever").exit == .status(2))

        let reloaded = try await earshot("reload")
        #expect(
            reloaded.exit == .status(0) && reloaded.output.first?.hasPrefix("reloaded: 2 labels") == true, "\(reloaded)"
        )
        #expect(abs((try await threshold("dog") ?? 0) - 0.2) < 1e-6)
        #expect(try await client.result("status")["thresholds"] as? [String: Double] == [:])
        try await daemon.stop()
    }

    @Test func thresholdDecidesWhatIsHeard() async throws {
        let daemon = try await daemon("dog", "siren")
        let (client, _) = try await daemon.subscriber()
        for label in ["dog", "siren"] { #expect(try await earshot("threshold", label, "1").exit == .status(0)) }
        try await daemon.program.write(sound(3) + stillness(4))
        while try await daemon.source(client)["audio_seconds"] as? Double ?? 0 < 6.5 {
            try await Task.sleep(for: .milliseconds(20))
        }
        let heard = client.lines.all.compactMap { try? jsonObject($0.text) }.filter { $0["type"] as? String == "onset" }
        #expect(heard.allSatisfy { ($0["score"] as? Double ?? 0) >= 0.9999 }, "\(heard)")
        for label in ["dog", "siren"] { #expect(try await earshot("threshold", label, "0.1").exit == .status(0)) }
        try await daemon.program.write(sound(3))
        _ = try await client.message("onset")
        try await daemon.stop()
    }

    @Test func failedReloadIsTold() async throws {
        let daemon = try await daemon("dog")
        _ = try place.labelFile("dog", "siren [threshold=9]")
        let failed = try await earshot("reload")
        #expect(failed.exit == .status(1) && failed.errors.count == 1, "\(failed)")
        #expect(failed.errors[0].contains("labels.txt:2"), "\(failed)")
        _ = try place.labelFile("siren")
        #expect(try await earshot("reload").exit == .status(0))
        #expect(try await daemon.subscriber().hello.object["labels"] as? [String] == ["siren"])
        try await daemon.stop()
    }

    @Test(.enabled(if: geteuid() == 0, "only root can be somebody else")) func strangersAreRefused() async throws {
        let daemon = try await daemon("dog")
        let tool = try #require(Product.folder) + "/earshot"
        chmod(place.folder.path, 0o755)
        func asNobody() async throws -> Outcome {
            try await run(
                "/usr/bin/setpriv",
                ["--reuid=65534", "--regid=65534", "--clear-groups", tool, "control", "reload", "--socket", control])
        }
        let closed = try await asNobody()
        #expect(closed.exit == .status(1) && closed.errors.first?.contains("you may not use this socket") == true)
        // Even where the file lets them in.
        chmod(control, 0o666)
        let refused = try await asNobody()
        #expect(refused.exit == .status(1) && refused.errors.count == 1, "\(refused)")
        #expect(refused.errors.first?.contains("only root and the daemon's own user") == true, "\(refused)")
        _ = try await daemon.program.errors.first("line about the stranger") {
            $0.text.contains("control refused") && $0.text.contains("user=65534")
        }
        #expect(try await daemon.subscriber().subscriber.result("status")["reloads"] as? Int == 0)
        try await daemon.stop()
    }

    // MARK: Socket activation

    private static let activator = "/usr/bin/systemd-socket-activate"

    @Test(.enabled(if: access(activator, X_OK) == 0, "no systemd-socket-activate here"))
    func passedSocketsAreServedAndKept() async throws {
        let labels = try place.labelFile("dog")
        let (events, metrics) = (place.folder.file("e.sock"), place.folder.file("m.sock"))
        let folder = try #require(Product.folder)
        let activated = try Program(
            Self.activator,
            ["--listen=\(events)", "--listen=\(control)", "--listen=\(metrics)", "--fdname=events:control:metrics"]
                + ["\(folder)/earshotd"] + place.options + ["--source", "-", "--labels", labels], hasInput: true)
        _ = try await activated.errors.first("line of the activator") { $0.text.contains("Listening on \(metrics)") }
        // The first client starts the daemon.
        let client = try Subscriber(events)
        _ = try await client.message("hello")
        #expect(try await earshot("mute", "dog", "1m").exit == .status(0))
        let scraped = try Subscriber(metrics)
        try scraped.send("GET /metrics HTTP/1.1\r\nHost: earshot\r\n\r")
        #expect(try await scraped.lines.next()?.text == "HTTP/1.1 200 OK\r")
        let second = try Subscriber(events)
        #expect(try await second.message("hello").number("protocol") == 1)

        activated.send(SIGTERM)
        #expect(try await activated.exit() == .status(0), "\(activated.errors.all)")
        for path in [events, control, metrics] {
            #expect(access(path, F_OK) == 0, "\(path) is the service manager's and stays")
        }
    }

    @Test(.enabled(if: access(activator, X_OK) == 0, "no systemd-socket-activate here"))
    func passedSocketsMustBeClear() async throws {
        let labels = try place.labelFile("dog")
        let folder = try #require(Product.folder)
        func start(_ options: [String]) async throws -> Outcome {
            let program = try Program(
                Self.activator,
                options + ["\(folder)/earshotd"] + place.options + ["--source", "-", "--labels", labels])
            _ = try await program.errors.first("line of the activator") { $0.text.contains("Listening on") }
            let path = try #require(options.first { $0.hasPrefix("--listen=/") }).dropFirst(9)
            let client = try Subscriber(String(path))
            let exit = try await program.exit()
            _ = client
            return Outcome(exit: exit, output: [], errors: try await program.errors.rest().map(\.text))
        }
        let path = place.folder.file("x.sock")
        let unknown = try await start(["--listen=\(path)", "--fdname=sound"])
        #expect(unknown.exit == .status(2), "\(unknown)")
        #expect(unknown.errors.last?.contains("a socket named \"sound\"") == true, "\(unknown)")
    }
}
