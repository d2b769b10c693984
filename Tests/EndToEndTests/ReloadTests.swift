import Foundation
import TestSupport
import Testing

/// New labels while the daemon runs.
@Suite(.serialized, .enabled(if: Product.isBuilt, "the programs are not built")) struct ReloadTests {
    private func labels(_ subscriber: Subscriber) async throws -> [String] {
        let reply = try await subscriber.result("labels")
        return (reply["labels"] as? [[String: Any]] ?? []).compactMap { $0["label"] as? String }
    }

    /// Sends SIGHUP and waits until its outcome is in the log.
    private func reload(_ daemon: TestDaemon) async throws -> String {
        daemon.program.send(SIGHUP)
        return try await daemon.program.errors.first("outcome of the reload") {
            $0.text.contains("reloaded: ") || $0.text.contains("reload failed")
        }.text
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
        #expect(try await reload(daemon).contains("reloaded: 1 labels"))
        #expect(try await labels(client) == ["rain"])
        #expect(try await daemon.subscriber().hello.object["labels"] as? [String] == ["rain"])
        try await daemon.program.write(sound(3) + stillness(3))
        let rain = try await client.message("onset")
        #expect(rain["label"] == "rain")
        // No audio was lost: the sample clock goes on.
        #expect(abs(try #require(rain.number("onset_sample")) / 32_000 - 6) < 1, "\(rain)")
        _ = try await client.message("offset")

        _ = try place.labelFile("rain", "siren [threshold=9]")
        #expect(try await reload(daemon).contains("labels.txt:2"))
        #expect(try await labels(client) == ["rain"])
        let failed = try await client.result("status")
        #expect((failed["reload_problem"] as? String)?.contains("labels.txt:2") == true, "\(failed)")
        #expect(failed["reloads"] as? Int == 1)
        try await daemon.program.write(sound(3) + stillness(3))
        #expect(try await client.message("onset")["label"] == "rain")

        _ = try place.labelFile("siren")
        #expect(try await reload(daemon).contains("reloaded"))
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
        #expect(try await reload(daemon).contains("reloaded: 2 labels"))
        #expect(try await labels(client) == ["siren", "rain"])
        _ = try configure("[siren, siren]")
        #expect(try await reload(daemon).contains("reload failed"))
        #expect(try await labels(client) == ["siren", "rain"])
        _ = try configure("[siren]\nlables: [dog]")
        #expect(try await reload(daemon).contains("earshot.yaml:2: lables: unknown setting"))
        #expect(try await labels(client) == ["siren", "rain"])
        // A sound goes on all the while: it is an event of the new labels.
        let onset = try await client.message("onset") { $0["label"] as? String != "dog" }
        #expect(["siren", "rain"].contains(onset["label"] ?? ""))
        try await daemon.stop()
    }
}
