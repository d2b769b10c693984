import Foundation
import TestSupport
import Testing

/// New labels while the daemon runs.
@Suite(.serialized, .enabled(if: Product.isBuilt, "the programs are not built")) struct ReloadTests {
    private func labels(_ subscriber: Subscriber) async throws -> [String] {
        let reply = try await subscriber.result("labels")
        return (reply["labels"] as? [[String: Any]] ?? []).compactMap { $0["label"] as? String }
    }

    @Test func newLabelsAreHeardAndBadOnesLeaveTheOld() async throws {
        let place = try Workplace()
        let file = try place.labelFile("dog")
        let daemon = try await TestDaemon(place, ["--source", "-", "--labels", file], hasInput: true)
        let (client, _) = try await daemon.subscriber()
        try await daemon.program.write(sound(3) + stillness(3))
        #expect(try await client.message("onset")["label"] == "dog")
        _ = try await client.message("offset")

        _ = try place.labelFile("rain [threshold=0.25, group=weather]")
        #expect(try await daemon.reload().contains("reloaded: 1 labels"))
        #expect(try await labels(client) == ["rain"])
        #expect(try await daemon.subscriber().hello.object["labels"] as? [String] == ["rain"])
        try await daemon.program.write(sound(3) + stillness(3))
        let rain = try await client.message("onset")
        #expect(rain["label"] == "rain")
        // No audio was lost: the sample clock goes on.
        #expect(abs(try #require(rain.number("onset_sample")) / 32_000 - 6) < 1, "\(rain)")
        _ = try await client.message("offset")

        _ = try place.labelFile("rain", "siren [threshold=9]")
        #expect(try await daemon.reload().contains("labels.txt:2"))
        #expect(try await labels(client) == ["rain"])
        let failed = try await client.result("status")
        #expect((failed["reload_problem"] as? String)?.contains("labels.txt:2") == true, "\(failed)")
        #expect(failed["reloads"] as? Int == 1)
        try await daemon.program.write(sound(3) + stillness(3))
        #expect(try await client.message("onset")["label"] == "rain")

        _ = try place.labelFile("siren")
        #expect(try await daemon.reload().contains("reloaded"))
        let mended = try await client.result("status")
        #expect(mended["reload_problem"] is NSNull && mended["reloads"] as? Int == 2)
        let source = try await daemon.source(client)
        #expect(source["gaps"] as? Int == 0 && source["state"] as? String == "up" && source["restarts"] as? Int == 0)
        try await daemon.stop()
    }

    @Test func configurationIsReadAgain() async throws {
        let place = try Workplace()
        let recording = try place.folder.write(
            "long.wav", waveFile(noise(seconds: 240, sampleRate: 8000), sampleRate: 8000))
        func configure(_ labels: String) throws -> String {
            try place.folder.write(
                "earshot.yaml",
                """
                labels: \(labels)
                sources:
                  - {name: file, device: \(recording), realtime: true}
                """)
        }
        let daemon = try await TestDaemon(place, ["--config", try configure("[dog]")])
        let (client, _) = try await daemon.subscriber()
        _ = try configure("[siren, rain]")
        #expect(try await daemon.reload().contains("reloaded: 2 labels"))
        #expect(try await labels(client) == ["siren", "rain"])
        _ = try configure("[siren, siren]")
        #expect(try await daemon.reload().contains("reload failed"))
        #expect(try await labels(client) == ["siren", "rain"])
        _ = try configure("[siren]\nlables: [dog]")
        #expect(try await daemon.reload().contains("earshot.yaml:2: lables: unknown setting"))
        #expect(try await labels(client) == ["siren", "rain"])
        // A sound goes on all the while: it is an event of the new labels.
        let onset = try await client.message("onset") { $0["label"] as? String != "dog" }
        #expect(["siren", "rain"].contains(onset["label"] ?? ""))
        try await daemon.stop()
    }

    /// Sources come, go and change; one that stays is not touched.
    @Test func sourcesAreAddedRemovedAndChanged() async throws {
        let place = try Workplace()
        func recording(_ name: String, _ seed: UInt64) throws -> String {
            let bursts = (0..<40).flatMap {
                noise(seconds: 1.5, sampleRate: 8000, seed: seed + $0) + silence(seconds: 2, sampleRate: 8000)
            }
            return try place.folder.write(name, waveFile(bursts, sampleRate: 8000))
        }
        let (one, two) = (try recording("one.wav", 1), try recording("two.wav", 100))
        func configure(_ sources: String..., more: String = "") throws -> String {
            try place.folder.write(
                "earshot.yaml",
                "labels: [dog]\n\(more)sources:\n" + sources.map { "  - {\($0), realtime: true}\n" }.joined())
        }
        let stays = "name: stays, device: \(one)"
        let daemon = try await TestDaemon(
            place, ["--config", try configure(stays, "name: goes, device: \(two)", "name: turns, device: \(two)")])
        let (client, hello) = try await daemon.subscriber()
        #expect(hello.object["sources"] as? [String] == ["stays", "goes", "turns"])
        let before = try await client.message("onset") { $0["source"] as? String == "turns" }

        _ = try configure(
            stays + ", detection: {cooldown: 1s}", "name: turns, device: \(one)", "name: comes, device: \(two)",
            more: "log_level: debug\n")
        let outcome = try await daemon.reload()
        #expect(outcome.contains("added comes") && outcome.contains("removed goes") && outcome.contains("anew turns"))
        #expect(
            daemon.program.errors.all.contains { $0.text.contains("log_level: a change takes a restart") })
        _ = try await client.message("source") { $0["source"] as? String == "goes" && $0["state"] as? String == "down" }
        try await eventually("audio of both new sources") {
            let sources = try await daemon.sources(client)
            return ["turns", "comes"].allSatisfy { sources[$0]?["state"] as? String == "up" }
        }
        #expect(
            try await daemon.subscriber().hello.object["sources"] as? [String] == ["stays", "turns", "comes"])
        let after = try await client.message("onset") { $0["source"] as? String == "turns" }
        #expect(after["event"] != before["event"], "events of a source that was opened anew have other names")
        _ = try await client.message("onset") { $0["source"] as? String == "comes" }
        let sources = try await daemon.sources(client)
        #expect(Set(sources.keys) == ["stays", "turns", "comes"])
        let same = try #require(sources["stays"])
        #expect(same["state"] as? String == "up" && same["restarts"] as? Int == 0, "\(same)")
        // Nothing was said about the source that stays.
        let words = client.lines.all.filter {
            $0.text.contains(#""type":"source""#) && $0.text.contains("stays") && !$0.text.contains(#""state":"up""#)
        }
        #expect(words.isEmpty, "\(words)")

        _ = try configure(stays, "name: turns, device: 'alsa:'")
        #expect(try await daemon.reload().contains("names no device"))
        #expect(Set(try await daemon.sources(client).keys) == ["stays", "turns", "comes"])
        try await daemon.stop()
    }
}
