import Foundation
import TestSupport
import Testing

/// The daemon as a service: its socket file, its exit status, what it tells the service manager, its devices.
@Suite(.serialized, .enabled(if: Product.isBuilt, "the programs are not built")) struct ServiceTests {
    @Test func oneDaemonPerSocket() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog")
        let first = try await TestDaemon(place, ["--source", "-", "--labels", labels], hasInput: true)
        let second = try await run(
            "earshotd", place.options + ["--source", "-", "--labels", labels, "--socket", first.socket])
        #expect(second.exit == .status(1))
        #expect(second.errors.filter { !$0.contains(": info: ") }.count == 1, "\(second.errors)")
        #expect(second.errors.last?.contains("another program is listening on socket \(first.socket)") == true)
        // The first is none the worse for it.
        _ = try await first.subscriber().subscriber.result("ping")

        first.program.send(SIGKILL)
        #expect(try await first.program.exit() == .signal(SIGKILL))
        #expect(access(first.socket, F_OK) == 0, "a killed daemon leaves its socket")
        let third = try await TestDaemon(place, ["--source", "-", "--labels", labels], hasInput: true)
        _ = try await third.subscriber().subscriber.result("ping")
        try await third.stop()
    }

    @Test func ordinaryFilesAreNoStaleSockets() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog")
        let file = try place.folder.write("precious", "text")
        let outcome = try await run(
            "earshotd", place.options + ["--source", "-", "--labels", labels, "--socket", file])
        #expect(outcome.exit == .status(1), "\(outcome)")
        #expect(outcome.errors.last?.contains("precious exists and is not a socket") == true, "\(outcome)")
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "text")
    }

    @Test func configurationErrorsNameFileAndLine() async throws {
        let place = try Workplace()
        func start(_ text: String) async throws -> Outcome {
            let file = try place.folder.write("earshot.yaml", text)
            return try await run(
                "earshotd", place.options + ["--config", file, "--socket", place.folder.file("e.sock")])
        }
        let file = place.folder.file("earshot.yaml")
        for (text, line, word) in [
            ("lables: [dog]\n", 1, "lables"), ("labels: [dog]\nring: much\n", 2, "ring"),
            ("labels: [dog]\nsources:\n  - {name: a}\n", 3, "device"),
            ("labels: [dog]\ndetection:\n  on: 7\n", 3, "detection.on"), ("labels: [dog\n", 2, "not valid YAML"),
        ] {
            let outcome = try await start(text)
            #expect(outcome.exit == .status(2), "\(text): \(outcome)")
            let error = outcome.errors.first ?? ""
            #expect(outcome.errors.count == 1 && error.contains(word), "\(text): \(outcome)")
            #expect(error.hasPrefix("earshotd: \(file):\(line): "), "\(error)")
        }
        let several = try await start("lables: [dog]\nring: much\n")
        #expect(several.exit == .status(2) && several.errors.count == 2, "\(several)")
        #expect(try await start("labels: [dog, dog]\n").exit == .status(2))
        let missing = try await run("earshotd", place.options + ["--config", place.folder.file("no.yaml")])
        #expect(missing.exit == .status(2) && missing.errors.count == 1, "\(missing)")
        let labels = try await run("earshotd", place.options + ["--labels", place.folder.file("no.txt")])
        #expect(labels.exit == .status(2) && labels.errors.count == 1, "\(labels)")
    }

    @Test func tellsTheServiceManager() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog")
        let path = place.folder.file("notify.sock")
        let notifications = try NotificationSocket(path)
        let daemon = try await TestDaemon(
            place, ["--source", "-", "--labels", labels],
            environment: ["NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1500000"], hasInput: true, isWatched: true)
        _ = try await notifications.next("READY=1")
        #expect(access(daemon.socket, F_OK) == 0, "ready means that clients can connect")
        _ = try await notifications.next("WATCHDOG=1")
        _ = try await notifications.next("WATCHDOG=1")

        var before = timespec()
        clock_gettime(CLOCK_MONOTONIC, &before)
        daemon.program.send(SIGHUP)
        let reloading = try await notifications.next("RELOADING=1")
        let stamp = reloading.first { $0.hasPrefix("MONOTONIC_USEC=") }.flatMap { Int($0.dropFirst(15)) }
        #expect(try #require(stamp, "\(reloading)") >= before.tv_sec * 1_000_000 + before.tv_nsec / 1000)
        _ = try await notifications.next("READY=1")

        daemon.program.send(SIGTERM)
        _ = try await notifications.next("STOPPING=1")
        try await daemon.end()
    }

    /// A signal soon after the start is heeded, whatever the daemon's threads are at just then.
    @Test func signalsAreHeededFromTheStart() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog")
        for delay in 0..<60 {
            let daemon = try await TestDaemon(place, ["--source", "-", "--labels", labels], hasInput: true)
            try await Task.sleep(for: .milliseconds(delay % 20))
            daemon.program.send(SIGTERM)
            #expect(try await daemon.program.exit(within: .seconds(20)) == .status(0))
        }
    }

    @Test func listensToAnAlsaDevice() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog")
        let raw = try place.folder.write("microphone.raw", rawSamples(noise(seconds: 60)))
        let configuration = try place.folder.write(
            "asound.conf",
            """
            pcm.microphone {
                type file
                slave.pcm { type null }
                file /dev/null
                infile "\(raw)"
                format raw
            }
            """)
        let daemon = try await TestDaemon(
            place, ["--source", "alsa:microphone", "--labels", labels], environment: ["ALSA_CONFIG_PATH": configuration]
        )
        // The plugin gives a second of audio at once, so the onset may come before any client.
        _ = try await daemon.program.errors.first("line about the onset") { $0.text.contains("dog (") }
        let (client, _) = try await daemon.subscriber()
        let source = try await daemon.source(client)
        #expect(source["device"] as? String == "alsa:microphone")
        #expect((source["opening"] as? String)?.hasPrefix("alsa:microphone: opened with ") == true, "\(source)")
        try await daemon.stop()
    }

    /// A device that is not there is tried again; the daemon serves its clients meanwhile.
    @Test func missingDeviceIsDown() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog")
        let daemon = try await TestDaemon(place, ["--source", "alsa:no_such_device", "--labels", labels])
        _ = try await daemon.program.errors.first("line about the device") {
            $0.text.contains("no_such_device") && $0.text.contains("trying again")
        }
        let source = try await daemon.source(try await daemon.subscriber().subscriber)
        #expect(source["state"] as? String == "down", "\(source)")
        #expect((source["problem"] as? String)?.contains("no_such_device") == true)
        try await daemon.stop()
    }

    @Test func missingFileEndsItsSource() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog")
        let daemon = try await TestDaemon(place, ["--source", place.folder.file("no.wav"), "--labels", labels])
        _ = try await daemon.program.errors.first("line about the file") { $0.text.contains("no.wav: no such file") }
        let source = try await daemon.source(try await daemon.subscriber().subscriber)
        #expect(source["state"] as? String == "ended", "\(source)")
        #expect((source["problem"] as? String)?.contains("no.wav: no such file") == true)
        try await daemon.stop()
    }

    @Test func toolWatchesAndAsks() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog")
        let daemon = try await TestDaemon(place, ["--source", "-", "--labels", labels, "--once"], hasInput: true)
        let watch = try Program("earshot", ["watch", "--socket", daemon.socket])
        let filtered = try Program(
            "earshot", ["watch", "--jsonl", "--label", "c*", "--top", "--socket", daemon.socket])
        let hello = try await watch.output.next()
        #expect(hello?.text == "connected: model earshot-mn04, 1 labels, sources source")
        _ = try await filtered.output.first("reply to top") { $0.text.contains(#""id":2"#) }

        let status = try await run("earshot", ["status", "--json", "--socket", daemon.socket])
        #expect(status.exit == .status(0) && status.output.count == 1 && status.errors.isEmpty, "\(status)")
        let object = try jsonObject(status.output.joined())
        #expect(object["model"] as? String == "earshot-mn04" && object["labels"] as? Int == 1)
        let text = try await run("earshot", ["status", "--socket", daemon.socket])
        #expect(text.output.first?.contains("model earshot-mn04, 1 labels") == true, "\(text)")

        try await daemon.program.write(stillness(1) + sound(3) + stillness(3))
        _ = try await watch.output.first("onset") { $0.text.contains("dog") && $0.text.hasSuffix("%") }
        _ = try await watch.output.first("offset") { $0.text.contains("dog  over after") }
        let top = try await filtered.output.first("ranking") { $0.text.contains(#""type":"top""#) }
        #expect(try jsonObject(top.text)["source"] as? String == "source")
        daemon.program.closeInput()
        try await daemon.end()
        // Both end when the daemon does.
        #expect(try await watch.exit() == .status(0), "\(watch.errors.all)")
        #expect(try await filtered.exit() == .status(0), "\(filtered.errors.all)")
        #expect(filtered.output.all.allSatisfy { !$0.text.contains(#""type":"onset""#) })
    }
}
