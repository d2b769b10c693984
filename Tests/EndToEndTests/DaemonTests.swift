import Foundation
import TestSupport
import Testing

/// The daemon with audio on its standard input: the test decides what it hears and when.
@Suite(.serialized, .enabled(if: Product.isBuilt, "the programs are not built")) struct DaemonTests {
    @Test func onsetComesBeforeTheSoundIsOver() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog")
        let daemon = try await TestDaemon(place, ["--source", "-", "--labels", labels], hasInput: true)
        let (client, hello) = try await daemon.subscriber()
        #expect(hello.number("protocol") == 1)
        #expect(hello["model"] == "earshot-mn04")
        #expect(hello.object["labels"] as? [String] == ["dog"])
        #expect(hello.object["sources"] as? [String] == ["source"])

        try await daemon.program.write(stillness(2) + sound(4))
        let onset = try await client.message("onset")
        #expect(onset["label"] == "dog" && onset["source"] == "source" && onset.object["offset"] is NSNull)
        #expect(abs(try #require(onset.number("onset_sample")) / 32_000 - 2) < 1, "\(onset)")
        #expect((0...1).contains(try #require(onset.number("score"))))
        #expect(client.lines.all.allSatisfy { !$0.text.contains(#""type":"offset""#) })

        try await daemon.program.write(stillness(4))
        let offset = try await client.message("offset")
        #expect(offset["event"] == onset["event"])
        #expect(offset["onset"] != nil && offset.number("onset_sample") == onset.number("onset_sample"))
        #expect(abs(try #require(offset.number("duration")) - 4) < 2, "\(offset)")
        let (begin, end) = (try #require(offset.date("onset")), try #require(offset.date("offset")))
        #expect(abs(end.timeIntervalSince(begin) - offset.number("duration")!) < 0.01, "\(offset)")
        #expect(try #require(offset.number("seq")) > onset.number("seq")!)
        #expect((-30...0).contains(try #require(offset.number("level_dbfs"))), "\(offset)")

        let source = try await daemon.source(client)
        #expect(source["state"] as? String == "up" && source["problem"] is NSNull)
        // What follows the offset may still be on its way.
        #expect((7...10).contains(try #require(source["audio_seconds"] as? NSNumber).doubleValue), "\(source)")
        #expect(source["events"] as? Int == 1 && source["gaps"] as? Int == 0 && source["overruns"] as? Int == 0)
        try await daemon.stop()
    }

    @Test func nothingIsHeardInSilence() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog [threshold=0.01]", "rain [threshold=0.01]")
        let daemon = try await TestDaemon(place, ["--source", "-", "--labels", labels, "--once"], hasInput: true)
        let (client, _) = try await daemon.subscriber()
        try await daemon.program.write(stillness(20) + rawSamples([Float](repeating: -0.5, count: 10 * 32_000)))
        daemon.program.closeInput()
        try await daemon.end()
        for line in try await client.lines.rest() {
            #expect(try jsonObject(line.text)["type"] as? String == "source", "\(line)")
        }
    }

    /// An open event is ended, and its offset sent, before the daemon goes.
    @Test func endOfTheLastSourceEndsTheDaemon() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog")
        let daemon = try await TestDaemon(place, ["--source", "-", "--labels", labels, "--once"], hasInput: true)
        let (client, _) = try await daemon.subscriber()
        try await daemon.program.write(sound(3))
        daemon.program.closeInput()
        let onset = try await client.message("onset")
        let offset = try await client.message("offset")
        #expect(offset["event"] == onset["event"])
        #expect(try #require(offset.number("duration")) <= 3)
        let down = try await client.message("source") { $0["state"] as? String == "down" }
        #expect(down["reason"] == "the source has ended")
        try await daemon.end()
        #expect(try await client.lines.rest().isEmpty)
    }

    @Test func terminationEndsOpenEvents() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog")
        let daemon = try await TestDaemon(place, ["--source", "-", "--labels", labels], hasInput: true)
        let (client, _) = try await daemon.subscriber()
        try await daemon.program.write(sound(4))
        let onset = try await client.message("onset")
        try await daemon.stop()
        #expect(try await client.message("offset")["event"] == onset["event"])
    }

    /// Two sources of one label each, so that it is known which events come; two clients, each with a filter.
    @Test func clientsGetWhatTheyAskFor() async throws {
        let place = try Workplace()
        let bursts = (0..<8).flatMap { noise(seconds: 1.5, seed: UInt64($0)) + silence(seconds: 2.5) }
        let file = try place.folder.write("bursts.wav", waveFile(bursts))
        let configuration = try place.folder.write(
            "earshot.yaml",
            """
            sources:
              - {name: kitchen, device: \(file), labels: [dog], realtime: true}
              - {name: street, device: \(file), labels: [siren], realtime: true}
            """)
        let daemon = try await TestDaemon(place, ["--config", configuration])
        let (dogs, hello) = try await daemon.subscriber()
        #expect(hello.object["labels"] as? [String] == ["dog", "siren"])
        #expect(hello.object["sources"] as? [String] == ["kitchen", "street"])
        _ = try await dogs.result("subscribe", #"{"labels":["d*"]}"#)
        let (streetOnsets, _) = try await daemon.subscriber()
        _ = try await streetOnsets.result("subscribe", #"{"sources":["street"],"types":["onset"]}"#)
        let (all, _) = try await daemon.subscriber()

        let onset = try await dogs.message("onset")
        let offset = try await dogs.message("offset") { $0["event"] as? String == onset["event"] }
        #expect(offset.time >= onset.time)
        _ = try await streetOnsets.message("onset")
        _ = try await streetOnsets.message("onset")
        for label in ["dog", "siren"] { _ = try await all.message("onset") { $0["label"] as? String == label } }
        // A paced file is a live source: its onset line comes within seconds of the sound.
        let sent = try #require(onset.date("onset"))
        #expect(onset.time.timeIntervalSince(sent) > 0 && onset.time.timeIntervalSince(sent) < 20, "\(onset)")

        let status = try await all.result("status")
        let sources = try #require(status["sources"] as? [[String: Any]])
        #expect(sources.compactMap { $0["name"] as? String } == ["kitchen", "street"])
        for source in sources {
            #expect(source["state"] as? String == "up" && (source["opening"] as? String)?.contains("real time") == true)
            #expect(try #require(source["audio_seconds"] as? NSNumber).doubleValue > 1)
            #expect(try #require(source["events"] as? Int) >= 1)
        }
        #expect(((status["server"] as? [String: Any])?["clients"] as? Int ?? 3) == 3, "\(status)")
        #expect(status["labels"] as? Int == 2 && status["reloads"] as? Int == 0 && status["reload_problem"] is NSNull)

        // Before its request is answered, a client gets everything.
        func events(_ client: Subscriber) -> [Program.Line] {
            client.lines.all.drop { !$0.text.contains(#""result""#) }.filter { $0.text.contains(#""event":"#) }
        }
        for line in events(dogs) {
            #expect(line.text.contains(#""label":"dog""#))
        }
        for line in events(streetOnsets) {
            #expect(line.text.contains(#""label":"siren""#) && line.text.contains(#""type":"onset""#))
        }
        try await daemon.stop()
    }

    /// A supervisor may ask as soon as there is a socket. Many sources and starts, for the time between is short.
    @Test func theFirstClientSeesAllSources() async throws {
        let place = try Workplace()
        let names = (0..<32).map { "room\($0)" }
        let configuration = try place.folder.write(
            "earshot.yaml",
            "labels: [dog]\nsources:\n"
                + names.map { "  - {name: \($0), device: \"alsa:no_such_device\"}\n" }.joined())
        let socket = place.folder.file("e.sock")
        for _ in 0..<5 {
            let program = try Program(
                "earshotd", place.options + ["--socket", socket, "--config", configuration])
            var client = try? Subscriber(socket)
            let start = ContinuousClock.now
            while client == nil, ContinuousClock.now - start < .seconds(30) { client = try? Subscriber(socket) }
            let status = try await #require(client).result("status")
            let sources = try #require(status["sources"] as? [[String: Any]])
            #expect(sources.compactMap { $0["name"] as? String } == names)
            program.send(SIGTERM)
            #expect(try await program.exit() == .status(0), "\(program.errors.all)")
        }
    }
}
