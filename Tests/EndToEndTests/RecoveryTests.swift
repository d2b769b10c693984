import Foundation
import TestSupport
import Testing

/// Sources that fail, hang or fall silent beside one that is well.
@Suite(.serialized, .enabled(if: Product.isBuilt, "the programs are not built")) struct RecoveryTests {
    private let place: Workplace
    /// A source with a sound every five seconds.
    private let good: String

    init() throws {
        place = try Workplace()
        let bursts = (0..<24).flatMap {
            noise(seconds: 2, sampleRate: 8000, seed: $0) + silence(seconds: 3, sampleRate: 8000)
        }
        let recording = try place.folder.write("good.wav", waveFile(bursts, sampleRate: 8000))
        good = "{name: good, device: \(recording), realtime: true, detection: {silent_after: 60s}}"
    }

    /// Starts a daemon that listens to the good source and to `pcm.microphone`.
    private func daemon(
        alsa: String, settings: String = "", environment: [String: String] = [:], isWatched: Bool = false
    ) async throws -> TestDaemon {
        let configuration = try place.folder.write(
            "earshot.yaml",
            """
            labels: [dog]
            detection: {cooldown: 0.5s, silent_after: 2s}
            sources:
              - \(good)
              - {name: bad, device: "alsa:microphone"}
            \(settings)
            """)
        let environment = environment.merging(["ALSA_CONFIG_PATH": alsa]) { $1 }
        return try await TestDaemon(place, ["--config", configuration], environment: environment, isWatched: isWatched)
    }

    /// The next change of the bad source.
    private func change(_ client: Subscriber) async throws -> Message {
        try await client.message("source") { $0["source"] as? String == "bad" }
    }

    private func isBadOnset(_ message: [String: Any]) -> Bool { message["source"] as? String == "bad" }

    /// The good source has not noticed anything, and still hears.
    private func expectGoodIsWell(
        _ daemon: TestDaemon, _ client: Subscriber, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        _ = try await client.message("onset") { $0["source"] as? String == "good" }
        let source = try #require(try await daemon.sources(client)["good"])
        #expect(source["state"] as? String == "up" && source["restarts"] as? Int == 0, sourceLocation: sourceLocation)
        let words = client.lines.all.filter { line in
            line.text.contains(#""source":"good""#) && line.text.contains(#""type":"source""#)
                && !line.text.contains(#""state":"up""#)
        }
        #expect(words.isEmpty, "\(words)", sourceLocation: sourceLocation)
    }

    @Test(.enabled(if: PulseServer.isInstalled, "PulseAudio is not installed"))
    func aSoundServerThatIsKilledAndComesBack() async throws {
        let server = try PulseServer(place.folder)
        try await server.start()
        let daemon = try await daemon(alsa: server.configuration)
        let (client, _) = try await daemon.subscriber()
        let first = try await client.message("onset", where: isBadOnset)

        try await server.kill()
        let down = try await change(client)
        #expect(down["state"] == "down" && down["reason"]?.contains("alsa:microphone") == true, "\(down)")
        #expect(try await daemon.sources(client)["bad"]?["state"] as? String == "down")
        try await expectGoodIsWell(daemon, client)

        try await server.start()
        let recovered = try await change(client)
        #expect(recovered["state"] == "recovered" && recovered["reason"]?.contains("opened") == true, "\(recovered)")
        let second = try await client.message("onset", where: isBadOnset)
        #expect(second["event"] != first["event"])
        #expect(try #require(second.number("onset_sample")) > first.number("onset_sample")!)
        // What was captured while the server was gone is not counted, and times are those of the clock on the wall.
        let age = second.time.timeIntervalSince(try #require(second.date("onset")))
        #expect((0..<20).contains(age), "\(second)")
        #expect(second.date("onset")! > down.date("time")!)
        let source = try #require(try await daemon.sources(client)["bad"])
        #expect(source["state"] as? String == "up" && source["restarts"] as? Int == 1, "\(source)")
        try await daemon.stop()
        try await server.kill()
    }

    /// A device that is there and gives nothing is down until it gives something, whatever its library does meanwhile: no
    /// stage is stuck, and the service manager has no reason to disturb the other source.
    @Test(.enabled(if: PulseServer.isInstalled, "PulseAudio is not installed"))
    func aSoundServerThatStandsStill() async throws {
        let server = try PulseServer(place.folder)
        try await server.start()
        let path = place.folder.file("notify.sock")
        let notifications = try NotificationSocket(path)
        let daemon = try await daemon(
            alsa: server.configuration, environment: ["NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000000"],
            isWatched: true)
        let (client, _) = try await daemon.subscriber()
        _ = try await client.message("onset", where: isBadOnset)
        server.send(SIGSTOP)
        _ = try await client.message("source") { $0["source"] as? String == "bad" && $0["state"] as? String == "down" }
        try await expectGoodIsWell(daemon, client)
        // Longer than a stage may stand still.
        let before = notifications.messages.all.count
        try await eventually("five signs of life") { notifications.messages.all.count >= before + 5 }
        #expect(daemon.program.errors.all.allSatisfy { !$0.text.contains("is stuck") })
        server.send(SIGCONT)
        _ = try await client.message("source") {
            $0["source"] as? String == "bad" && $0["state"] as? String == "recovered"
        }
        try server.play()
        _ = try await client.message("onset", where: isBadOnset)
        try await daemon.stop()
        try await server.kill()
    }

    /// The file plugin gives silence behind its file.
    @Test func aDeviceThatFallsSilent() async throws {
        let raw = try place.folder.write("microphone.raw", rawSamples(noise(seconds: 4)))
        let daemon = try await daemon(alsa: try filePlugin(infile: raw))
        let (client, _) = try await daemon.subscriber()
        let silent = try await client.message("source") { $0["state"] as? String == "silent" }
        #expect(silent["source"] == "bad" && silent["reason"]?.contains("2 s") == true, "\(silent)")
        let source = try #require(try await daemon.sources(client)["bad"])
        #expect(source["state"] as? String == "silent" && source["level_dbfs"] is NSNull, "\(source)")
        try await expectGoodIsWell(daemon, client)
        try await daemon.stop()
    }

    /// Opening it hangs: the source is down until it comes back. Then it hangs in the midst of its audio: that is a stuck
    /// stage, of which the service manager is not told that all is well.
    @Test func aDeviceThatBlocks() async throws {
        let pipe = place.folder.file("microphone.raw")
        #expect(mkfifo(pipe, 0o600) == 0)
        let path = place.folder.file("notify.sock")
        let notifications = try NotificationSocket(path)
        let daemon = try await daemon(
            alsa: try filePlugin(infile: pipe),
            environment: ["NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000000"], isWatched: true)
        let (client, _) = try await daemon.subscriber()
        let down = try await change(client)
        #expect(down["state"] == "down" && down["reason"]?.contains("hangs while it is opened") == true, "\(down)")
        try await expectGoodIsWell(daemon, client)
        let before = notifications.messages.all.count
        try await eventually("a sign of life while a source is down") { notifications.messages.all.count > before }

        let writer = open(pipe, O_RDWR | O_CLOEXEC)
        defer { close(writer) }
        let audio = rawSamples(noise(seconds: 4))
        Thread.detachNewThread {
            var rest = audio[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { write(writer, $0.baseAddress, $0.count) }
                if count <= 0 { return }
                rest = rest.dropFirst(count)
            }
        }
        #expect(try await change(client)["state"] == "up")
        _ = try await client.message("onset", where: isBadOnset)
        _ = try await daemon.program.errors.first("line about the stage") {
            $0.text.contains("bad: the stage capture is stuck")
        }
        #expect(try await change(client)["state"] == "down")
        try await expectGoodIsWell(daemon, client)
        let fed = notifications.messages.all.count
        try await Task.sleep(for: .seconds(2))
        #expect(notifications.messages.all.count == fed, "the watchdog is not fed while a stage is stuck")
        try await daemon.stop()
    }

    @Test func damagedFilesEndAlone() async throws {
        let damaged = try place.folder.write("damaged.wav", Array(waveFile(noise(seconds: 6)).prefix(200_000)))
        let configuration = try place.folder.write(
            "earshot.yaml",
            """
            labels: [dog]
            sources:
              - {name: damaged, device: \(damaged)}
              - {name: text, device: \(try place.labelFile("dog"))}
              - \(good)
            """)
        let daemon = try await TestDaemon(place, ["--config", configuration])
        let (client, _) = try await daemon.subscriber()
        try await eventually("the ends of both") {
            let sources = try await daemon.sources(client)
            return ["damaged", "text"].allSatisfy { sources[$0]?["state"] as? String == "ended" }
        }
        let sources = try await daemon.sources(client)
        #expect((sources["damaged"]?["problem"] as? String)?.contains("truncated") == true, "\(sources)")
        #expect((sources["text"]?["problem"] as? String)?.contains("not a sound file") == true, "\(sources)")
        _ = try await client.message("onset") { $0["source"] as? String == "good" }
        try await daemon.stop()
    }

    /// The whole process stands still: what it could not hear is a gap, and nothing is missing from the sums.
    @Test func aStoppedDaemonCountsWhatItMissed() async throws {
        // Each of its samples is either heard or lost.
        let length = 12 + Self.pause
        let recording = try place.folder.write("long.wav", waveFile(noise(seconds: length)))
        let labels = try place.labelFile("dog")
        let daemon = try await TestDaemon(place, ["--source", recording, "--labels", labels, "--realtime"])
        let (client, _) = try await daemon.subscriber()
        _ = try await client.message("onset")
        daemon.program.send(SIGSTOP)
        try await Task.sleep(for: .seconds(Self.pause))
        daemon.program.send(SIGCONT)
        let gap = try await client.message("gap")
        let duration = try #require(gap.number("duration"))
        #expect(gap["reason"] == "overrun" && duration > Self.pause - 1.5, "\(gap)")
        let span = try #require(gap.date("to")).timeIntervalSince(try #require(gap.date("from")))
        #expect(abs(span - duration) < 0.01)
        _ = try await client.message("source") { $0["state"] as? String == "down" }
        let source = try await daemon.source(client)
        let heard = try #require(source["audio_seconds"] as? NSNumber).doubleValue
        let lost = try #require(source["lost_seconds"] as? NSNumber).doubleValue
        #expect(abs(heard + lost - length) < 0.002 && lost >= duration, "\(source)")
        try await daemon.stop()
    }

    /// The same with a device that does not say what it has dropped meanwhile.
    @Test(.enabled(if: PulseServer.isInstalled, "PulseAudio is not installed"))
    func aStoppedDaemonFindsOutWhatTheServerDropped() async throws {
        let server = try PulseServer(place.folder)
        try await server.start()
        let daemon = try await daemon(alsa: server.configuration)
        let (client, _) = try await daemon.subscriber()
        _ = try await client.message("onset", where: isBadOnset)
        // The usual delay of the device is known after some seconds.
        try await eventually("six seconds of audio") {
            try await daemon.sources(client)["bad"]?["audio_seconds"] as? Double ?? 0 > 6
        }
        let pause = try await ContinuousClock().measure {
            daemon.program.send(SIGSTOP)
            try await Task.sleep(for: .seconds(Self.pause))
            daemon.program.send(SIGCONT)
        }
        let gap = try await client.message("gap", where: isBadOnset)
        #expect(gap["reason"] == "overrun", "\(gap)")
        let lost = try #require(gap.number("duration"))
        // Some of it still came from buffers; a busy machine may lose more on either side.
        #expect(lost > 0.5 && lost < pause / .seconds(1) + 5, "\(gap)")
        // The gap lies between now and the pause.
        let age = gap.time.timeIntervalSince(try #require(gap.date("to")))
        #expect((-0.5..<6).contains(age), "\(gap)")
        try await daemon.stop()
        try await server.kill()
    }

    /// Seconds for which the daemon is stopped; `make test-recovery` makes them more.
    private static let pause =
        ProcessInfo.processInfo.environment["EARSHOT_TEST_PAUSE"].flatMap(Double.init) ?? 4

    /// An ALSA configuration whose `pcm.microphone` reads a file.
    private func filePlugin(infile: String) throws -> String {
        try place.folder.write(
            "asound.conf",
            """
            pcm.microphone {
                type file
                slave.pcm { type null }
                file /dev/null
                infile "\(infile)"
                format raw
            }
            """)
    }
}
