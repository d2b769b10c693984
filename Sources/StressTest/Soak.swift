import ArgumentParser
import AudioCapture
import EventClient
import Foundation
import Synchronization

/// Days of audio through the built daemon, as fast as it takes them.
struct Soak: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Feeds earshotd a recording over and over and watches memory, descriptors and counters.")

    @Option(help: "Hours of audio.")
    var hours = 72.0

    @Option(help: "Hours of audio after which memory must stay as it is.")
    var warmUp = 1.0

    @Option(help: "Percent that memory may grow by after that.")
    var growthLimit = 2.0

    @Option(help: "The recording that is repeated.")
    var recording = "Tests/Fixtures/demo.flac"

    @Option(help: "Label file.")
    var labels = "labels/esc50.txt"

    /// Of the model, which standard input is read at too.
    private static let sampleRate = 32_000

    func run() async throws {
        signal(SIGPIPE, SIG_IGN)
        let folder = try ScratchFolder()
        let samples = try decodeFile(recording, sampleRate: Self.sampleRate).samples
        let wanted = Int(hours * 3600 * Double(Self.sampleRate))
        let daemon = try SoakedDaemon(folder: folder, labels: labels)
        print("\(hours) h of audio from \(recording), at full speed")
        let listener = Task { try await daemon.listen() }
        let start = ContinuousClock.now
        let fed = daemon.feed(samples, total: wanted)
        let rows = try await watch(daemon, fed: fed, wanted: wanted, start: start)
        let status = try await daemon.endOfAudio(seconds: Double(wanted) / Double(Self.sampleRate))
        let took = ContinuousClock.now - start
        let exit = await daemon.stop()
        let heard = try await listener.value
        print("took \(took)")
        try report(
            rows, status: status, heard: heard, stored: try daemon.storedCount(), wanted: wanted, exit: exit)
        withExtendedLifetime(folder) {}
    }

    private struct Row {
        let hour: Double
        let figures: ProcessFigures
    }

    /// A row for each hour of audio, printed six times a day and at the end.
    private func watch(
        _ daemon: SoakedDaemon, fed: FedSamples, wanted: Int, start: ContinuousClock.Instant
    ) async throws -> [Row] {
        var rows: [Row] = []
        let step = min(1, hours / 8)
        print("  hour   resident  descriptors  threads  messages     wall")
        while true {
            let count = fed.count
            let hour = Double(count) / Double(Self.sampleRate) / 3600
            if hour >= Double(rows.count) * step || count >= wanted {
                let row = Row(hour: hour, figures: try daemon.figures())
                rows.append(row)
                if rows.count % 4 == 2 || rows.count == 1 || count >= wanted {
                    let wall = Double((ContinuousClock.now - start).components.seconds)
                    let cells = [
                        (hour.text(1), 6), (row.figures.residentMegabytes.text(2) + " MiB", 11),
                        ("\(row.figures.openDescriptors)", 13), ("\(row.figures.threads)", 9),
                        ("\(daemon.messageCount)", 10), (wall.text(0) + " s", 9),
                    ]
                    print(cells.map { String(repeating: " ", count: max(0, $1 - $0.count)) + $0 }.joined())
                    fflush(nil)
                }
            }
            if count >= wanted { return rows }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    private func report(
        _ rows: [Row], status: SoakedDaemon.Status, heard: SoakedDaemon.Heard, stored: Int, wanted: Int, exit: Int32
    ) throws {
        var bounds = Bounds()
        let settled = rows.filter { $0.hour >= warmUp }
        if let first = settled.first, settled.count > 1 {
            let most = settled.map(\.figures.residentMegabytes).max() ?? 0
            let growth = 100 * (most / first.figures.residentMegabytes - 1)
            bounds.check(
                "memory is flat within \(growthLimit) % after \(warmUp) h", growth <= growthLimit,
                "\(first.figures.residentMegabytes.text(2)) MiB, at most \(most.text(2)), grown by \(growth.text(2)) %")
            let counts = settled.map(\.figures.openDescriptors)
            bounds.check(
                "descriptors are constant", counts.min() == counts.max(),
                "\(counts.min() ?? 0) to \(counts.max() ?? 0)")
        }
        let seconds = Double(wanted) / Double(Self.sampleRate)
        bounds.check(
            "audio reported is audio fed, to the sample",
            (status.audioSeconds * Double(Self.sampleRate)).rounded() == Double(wanted),
            "\(status.audioSeconds) s of \(seconds) s")
        bounds.check(
            "no audio was lost", status.gaps == 0 && status.lostSeconds == 0 && heard.gaps == 0,
            "\(status.gaps) gaps, \(status.lostSeconds) s")
        bounds.check(
            "a subscriber got every message in order",
            heard.holes == 0 && heard.lagged == 0 && heard.lastSequence == status.sequence,
            "\(heard.messages) messages up to number \(heard.lastSequence) of \(status.sequence), \(heard.holes) holes, "
                + "\(heard.lagged) lagged")
        bounds.check(
            "every message sent is in the store", stored == heard.lastSequence,
            "\(stored) stored, \(heard.lastSequence) sent")
        bounds.check(
            "events are counted as they were sent", heard.onsets == status.events && heard.onsets > 0,
            "\(heard.onsets) onsets received, \(status.events) counted")
        bounds.check(
            "every event has ended once", heard.onsets == heard.offsets && heard.unmatched == 0,
            "\(heard.offsets) offsets, \(heard.unmatched) without their onset")
        bounds.check("the daemon ended well", exit == 0, "exit status \(exit)")
        try bounds.finish()
    }
}
