import ArgumentParser
import EventClient
import EventMessages
import EventServer
import EventStore
import Foundation
import Logging
import Synchronization

/// Many subscribers at a steady rate of events, on the daemon's own store and server. Delays begin when an event is
/// handed to the store, as a detector does.
struct Load: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serves many subscribers, some of which never read, and takes the time to each message.")

    @Option(help: "Clients that are connected at a time, stalled ones included.")
    var subscribers = 1000

    @Option(help: "How many of them never read.")
    var stalled = 100

    @Option(help: "Events per second.")
    var rate = 50.0

    @Option(help: "Seconds.")
    var duration = 600.0

    @Option(help: "Milliseconds from publishing that 99 % of the messages must stay below.")
    var delayLimit = 50.0

    func run() async throws {
        raiseDescriptorLimit()
        let folder = try ScratchFolder()
        var configuration = EventServer.Configuration(socketPath: folder.file("e.sock"))
        configuration.maximumClients = subscribers + 16
        let logger = Logger(label: "load") { _ in SwiftLogNoOpLogHandler() }
        let outlet = Outlet()
        let store = EventStore.Configuration(path: folder.file("events.db"))
        let recorder = try EventRecorder(store, logger: logger) { messages in
            outlet.server.withLock { $0 }?.publish(messages)
        }
        let server = EventServer(
            configuration: configuration,
            providers: .init(
                hello: { HelloInformation(version: "load", model: "none", labels: ["dog"], sources: ["mic"]) },
                status: { .object([]) }, labels: { [] }),
            history: recorder, logger: logger)
        outlet.server.withLock { $0 = server }
        try await server.start()
        let clients = try ClientProcess(socket: configuration.socketPath, live: subscribers - stalled, stalled: stalled)
        try clients.awaitReady()
        print("\(subscribers) subscribers, \(stalled) of them stalled, \(rate) events/s for \(duration) s")
        let memory = await publish(to: recorder)
        let counters = try await Self.counters(of: configuration.socketPath)
        recorder.close()
        await server.stop()
        let stored = try EventStoreReader(path: store.path).lastSequence()
        try report(try clients.summary(), memory: memory, counters: counters, stored: Int(stored))
        withExtendedLifetime(folder) {}
    }

    /// What the recorder hands to; it is there before the server.
    private final class Outlet: Sendable {
        let server = Mutex<EventServer?>(nil)
    }

    private var total: Int { Int(rate * duration) }

    /// - Returns: Resident memory in MiB, once per second.
    private func publish(to recorder: EventRecorder) async -> [Double] {
        let start = ContinuousClock.now
        var memory: [Double] = []
        for number in 0..<total {
            try? await Task.sleep(until: start + .seconds(Double(number) / rate), clock: .continuous)
            recorder.record(event(number))
            if Double(memory.count) * rate <= Double(number), let figures = try? ProcessFigures(of: getpid()) {
                memory.append(figures.residentMegabytes)
                if memory.count % 60 == 1 {
                    let seconds = memory.count - 1
                    print(
                        "\(seconds) s: \(number) events, \(figures.residentMegabytes.text(1)) MiB, "
                            + "\(figures.openDescriptors) descriptors")
                }
            }
        }
        return memory
    }

    /// As long as a real one, with the time of publishing in its name.
    private func event(_ number: Int) -> ServerMessage {
        .event(
            EventMessage(
                kind: number % 2 == 0 ? .onset : .offset, event: "load-\(monotonicNanoseconds())", source: "mic",
                label: "dog", score: 0.83, onset: .now(), offset: number % 2 == 0 ? nil : .now(),
                onsetSample: Int64(number) * 640, duration: 1.75, levelDecibels: -31.3,
                top: ["dog", "siren", "rain", "door wood knock", "glass breaking"].map {
                    RankedLabel(label: $0, score: 0.5)
                }))
    }

    /// The member `server` of the reply to `status`.
    private static func counters(of socket: String) async throws -> [String: Int] {
        let found = Answer()
        try await EventClient.run(socketPath: socket, requests: [#"{"id":"status","method":"status"}"#]) { line in
            guard let reply = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
                let result = reply["result"] as? [String: Any]
            else { return true }
            await found.set((result["server"] as? [String: Any] ?? [:]).compactMapValues { $0 as? Int })
            return false
        }
        return await found.value
    }

    private actor Answer {
        var value: [String: Int] = [:]
        func set(_ value: [String: Int]) { self.value = value }
    }

    private func report(
        _ summary: Subscribers.Summary, memory: [Double], counters: [String: Int], stored: Int
    ) throws {
        var bounds = Bounds()
        bounds.check("every message is in the store", stored == total, "\(stored) of \(total)")
        bounds.check(
            "every live subscriber got every message",
            summary.leastReceived == total && summary.mostReceived == total && summary.holes == 0
                && summary.unexpected == 0,
            "\(total) published, \(summary.leastReceived) to \(summary.mostReceived) received, \(summary.holes) holes, "
                + "\(summary.unexpected) unexpected lines; \(summary.received) messages in all")
        bounds.check(
            "delay, p99 under \(delayLimit) ms", summary.delay99 < delayLimit,
            "p50 \(summary.medianDelay.text(1)) ms, p99 \(summary.delay99.text(1)) ms, p99.9 "
                + "\(summary.delay999.text(1)) ms, longest \(summary.longestDelay.text(1)) ms")
        bounds.check(
            "nothing was lost on the way to the event loop", counters["hand_over_dropped"] == 0,
            "\(counters["hand_over_dropped"] ?? -1) dropped")
        // Stalled clients fill their buffers within half a minute, are closed half a minute later, and come again.
        if memory.count >= 240 {
            let half = memory.count / 2
            let first = memory[..<half].max() ?? 0
            let second = memory[half...].max() ?? 0
            bounds.check(
                "memory is bounded (second half within 5 % of the first)", second <= 1.05 * first,
                "at the start \((memory.first ?? 0).text(1)) MiB, most in the first half \(first.text(1)), in the second "
                    + "\(second.text(1))")
            bounds.check(
                "stalled subscribers are closed", counters["closed_slow"] ?? 0 >= stalled,
                "\(counters["closed_slow"] ?? 0) times, of \(summary.stalledConnections) connections; "
                    + "\(counters["missed"] ?? 0) messages dropped for them, \(counters["lagged"] ?? 0) lagged lines")
        } else {
            print("       memory: \((memory.first ?? 0).text(1)) to \((memory.max() ?? 0).text(1)) MiB")
        }
        try bounds.finish()
    }
}

/// `StressTest subscribers` and what it prints.
private final class ClientProcess {
    private let process = Process()
    private let output: UnsafeMutablePointer<FILE>

    init(socket: String, live: Int, stalled: Int) throws {
        let pipe = Pipe()
        process.executableURL = try siblingProgram("StressTest")
        process.arguments = ["subscribers", "--socket", socket, "--live", "\(live)", "--stalled", "\(stalled)"]
        process.standardOutput = pipe
        try process.run()
        output = fdopen(dup(pipe.fileHandleForReading.fileDescriptor), "r")
    }

    deinit {
        if process.isRunning { process.terminate() }
        fclose(output)
    }

    /// Waits until all that read have been greeted.
    func awaitReady() throws {
        guard line() == "ready" else { throw Failure("the subscribers could not connect") }
    }

    /// Waits until the server has closed all that read.
    func summary() throws -> Subscribers.Summary {
        guard let line = line() else { throw Failure("the subscribers ended without a word") }
        return try JSONDecoder().decode(Subscribers.Summary.self, from: Data(line.utf8))
    }

    /// Nil at the end.
    private func line() -> String? {
        var buffer = [CChar](repeating: 0, count: 4096)
        guard fgets(&buffer, Int32(buffer.count), output) != nil else { return nil }
        return String(decoding: buffer.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
