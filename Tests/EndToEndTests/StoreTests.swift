import Foundation
import TestSupport
import Testing

/// The daemon's event store, by the built programs alone.
@Suite(.serialized, .enabled(if: Product.isBuilt, "the programs are not built")) struct StoreTests {
    private func daemon(
        _ place: Workplace, store: String, environment: [String: String] = [:], hasInput: Bool = true,
        _ more: [String] = []
    ) async throws -> TestDaemon {
        let labels = try place.labelFile("dog")
        return try await TestDaemon(
            place, ["--source", "-", "--labels", labels, "--store", store] + more, environment: environment,
            hasInput: hasInput)
    }

    private func status(_ daemon: TestDaemon) async throws -> [String: Any] {
        let status = try await daemon.subscriber().subscriber.result("status")
        return try #require(status["store"] as? [String: Any])
    }

    /// One event, heard before; a client of a later run asks for it, and the tool lists it meanwhile and afterwards.
    @Test func eventsOutliveTheDaemon() async throws {
        let place = try Workplace()
        let store = place.folder.file("events.db")
        let first = try await daemon(place, store: store)
        let (listener, hello) = try await first.subscriber()
        #expect(hello.number("seq") == 0 || hello.number("seq") == 1)
        try await first.program.write(stillness(2) + sound(3) + stillness(4))
        let offset = try await listener.message("offset")
        func list(_ arguments: String...) async throws -> [String] {
            let outcome = try await run("earshot", ["events", "--store", store] + arguments)
            #expect(outcome.exit == .status(0) && outcome.errors.isEmpty, "\(outcome)")
            return outcome.output
        }
        let during = try await list("--jsonl")
        #expect(during.count == 1 && during[0] == listener.lines.all.last { $0.text.contains("\"offset\"") }?.text)
        try await first.stop()

        let second = try await daemon(place, store: store)
        let (late, greeting) = try await second.subscriber()
        #expect(try #require(greeting.number("seq")) >= offset.number("seq")!)
        _ = try await late.result("subscribe", #"{"since":0,"types":["onset","offset"]}"#)
        #expect(try await late.message("onset")["event"] == offset["event"])
        #expect(try await late.message("offset").number("seq") == offset.number("seq"))
        let figures = try await status(second)
        #expect(
            figures["state"] as? String == "ok" && figures["first_seq"] as? Int == 1
                && figures["not_stored"] as? Int == 0)
        try await second.stop()

        let csv = try await list("--csv", "--label", "d*", "--min-score", "0.01", "--since", "1h")
        #expect(csv.count == 2 && csv[0].hasPrefix("seq,event,source,label,score,onset"))
        #expect(try csv[1].contains(",source,dog,") && csv[1].contains(#require(offset["onset"])))
        let table = try await list()
        #expect(table.count == 2 && table[0].hasPrefix("ONSET") && table[1].hasSuffix("  dog"))
        for nothing in [["--label", "cat"], ["--until", "2001-01-01"], ["--since", "99999"], ["--source", "x*"]] {
            #expect(try await run("earshot", ["events", "--store", store] + nothing).output.count == 1)
        }
    }

    @Test func wrongUseOfEventsIsNamed() async throws {
        let place = try Workplace()
        for (arguments, word) in [
            (["--since", "yesterday"], "--since"), (["--until", "2026-13-01"], "--until"),
            (["--limit", "0"], "--limit"),
            (["--jsonl", "--csv"], "exclude"), (["--store", place.folder.file("none.db")], "no event store here"),
            (["--store", try place.folder.write("x.db", "no database")], "x.db"),
        ] {
            let outcome = try await run("earshot", ["events"] + arguments)
            #expect(outcome.exit != .status(0) && outcome.errors.count == 1, "\(outcome)")
            #expect(outcome.errors.first?.contains(word) == true, "\(outcome)")
        }
    }

    /// The state directory of the service manager is used without being told.
    @Test func stateDirectory() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog")
        let daemon = try await TestDaemon(
            place, ["--source", "-", "--labels", labels], environment: ["STATE_DIRECTORY": place.folder.path],
            hasInput: true)
        #expect(try await status(daemon)["path"] as? String == place.folder.file("events.db"))
        try await daemon.stop()
        let without = try await TestDaemon(place, ["--source", "-", "--labels", labels], hasInput: true)
        #expect(try await status(without)["state"] as? String == "off")
        try await without.stop()
    }

    @Test func unusableStoresAreRefused() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog")
        for (store, word) in [
            (place.folder.file("none/events.db"), "no directory"), ("/proc/events.db", "/proc"),
            (place.folder.path, "Is a directory"),
        ] {
            let outcome = try await run(
                "earshotd",
                place.options + [
                    "--source", "-", "--labels", labels, "--socket", place.folder.file("e.sock"), "--store", store,
                ])
            #expect(outcome.exit == .status(2), "\(outcome)")
            #expect(outcome.errors.last?.contains(store) == true && outcome.errors.last?.contains(word) == true)
        }
    }

    /// Killed within an event: the next run ends it for those who wait.
    @Test func openEventsEndWithTheNextRun() async throws {
        let place = try Workplace()
        let store = place.folder.file("events.db")
        let first = try await daemon(place, store: store)
        let (listener, _) = try await first.subscriber()
        try await first.program.write(sound(4))
        let onset = try await listener.message("onset")
        first.program.send(SIGKILL)
        #expect(try await first.program.exit() == .signal(SIGKILL))

        let second = try await daemon(place, store: store)
        let (late, _) = try await second.subscriber()
        _ = try await late.result("subscribe", #"{"since":\#(Int(onset.number("seq")!))}"#)
        let offset = try await late.message("offset")
        #expect(offset["event"] == onset["event"] && offset["reason"] == "restart")
        #expect(offset.number("duration") == onset.number("duration"))
        try await second.stop()
    }

    /// The daemon detects and sends while there is no room, says so, and stores all when there is.
    @Test func fullDisk() async throws {
        let place = try Workplace()
        let folder = place.folder.file("disk")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        guard mount("tmpfs", folder, "tmpfs", 0, "size=100000000") == 0 else {
            print("EndToEndTests: fullDisk skipped, no right to mount a small disk (root only)")
            return
        }
        defer { umount2(folder, Int32(MNT_DETACH)) }
        let file = try place.folder.write("bursts.wav", waveFile(noise(seconds: 1.5) + silence(seconds: 2.5)))
        let configuration = try place.folder.write(
            "earshot.yaml",
            """
            labels: [dog]
            sources:
              - {name: mic, device: \(file), loop: true}
            detection: {update_interval: 0.2, cooldown: 0}
            store: {path: \(folder)/events.db}
            """)
        try fill(folder)
        let daemon = try await TestDaemon(place, ["--config", configuration])
        // Said before the line that tells of the socket.
        #expect(
            daemon.program.errors.all.contains { $0.text.contains("not stored, but") && $0.text.contains("no room") })
        let (listener, _) = try await daemon.subscriber()
        _ = try await listener.message("onset")
        let full = try await status(daemon)
        #expect(
            full["state"] as? String == "full" && (full["problem"] as? String)?.contains("no room") == true, "\(full)")
        #expect(try #require(full["pending"] as? Int) > 0)
        unlink(folder + "/filler")
        _ = try await daemon.program.errors.first("line about the store") { $0.text.contains("stored again") }
        try await daemon.stop()
        let lines = daemon.program.errors.all.filter { $0.text.contains("not stored, but") }
        #expect(lines.count == 1, "said once: \(lines)")
    }

    private func fill(_ folder: String) throws {
        let descriptor = open(folder + "/filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(descriptor) }
        let block = [UInt8](repeating: 1, count: 4096)
        while write(descriptor, block, block.count) > 0 {}
    }
}
