import AudioCapture
import DetectionPipeline
import Foundation
import Synchronization
import TestSupport
import Testing

/// What a listener reports, and a way to wait for it.
private final class Reports: Sendable {
    private let all = Mutex<[SourceReport]>([])
    private let stream: AsyncStream<SourceReport>
    private let continuation: AsyncStream<SourceReport>.Continuation

    init() { (stream, continuation) = AsyncStream.makeStream() }

    func take(_ report: SourceReport) {
        all.withLock { $0.append(report) }
        continuation.yield(report)
        if case .ended = report.content { continuation.finish() }
    }

    var contents: [SourceReport.Content] { all.withLock { $0.map(\.content) } }

    /// Events are "onset dog"; the rest by the name of the case.
    var words: [String] {
        contents.compactMap { content in
            switch content {
            case .event(let event): "\(event.kind) \(event.label)"
            case .gap: "gap"
            case .up: "up"
            case .recovered: "recovered"
            case .down: "down"
            case .ended(let problem): problem == nil ? "ended" : "failed"
            case .top: nil
            }
        }
    }

    /// Waits until a report fulfils the condition; false at the end, or after three minutes.
    func wait(_ condition: @escaping @Sendable (SourceReport.Content) -> Bool) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                for await report in self.stream where condition(report.content) { return true }
                return false
            }
            group.addTask {
                try? await Task.sleep(for: .seconds(180))
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
    }
}

@Suite struct SourceListenerTests {
    private func listener(
        _ source: SourceSpecification, _ reports: Reports, pacing: AudioInput.Pacing = .fullSpeed
    ) throws -> SourceListener {
        let model = try Fixture.model()
        let input = AudioInput.Configuration(source: source, modelSampleRate: model.sampleRate, pacing: pacing)
        return SourceListener(
            .init(name: "test", input: input, detection: try DetectionSettings(model)), model: model,
            labels: try Fixture.labels(["dog"]), wantsTop: { true }, report: reports.take)
    }

    private func withFile(_ samples: [Float], _ body: (SourceSpecification) async throws -> Void) async throws {
        let path = NSTemporaryDirectory() + "earshot-\(UUID().uuidString).wav"
        try write(waveFile(samples), to: path)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await body(.file(path: path))
    }

    @Test func hearsAFileAtFullSpeed() async throws {
        let reports = Reports()
        let audio = silence(seconds: 2) + noise(seconds: 2) + silence(seconds: 3) + noise(seconds: 2)
        try await withFile(audio) { source in
            let listener = try listener(source, reports)
            #expect(listener.snapshot.state == .starting)
            try listener.start()
            #expect(await reports.wait { if case .ended = $0 { true } else { false } })
            #expect(reports.words == ["up", "onset dog", "offset dog", "onset dog", "offset dog", "ended"])
            #expect(listener.hasEnded)
            let snapshot = listener.snapshot
            #expect(snapshot.state == .ended && snapshot.problem == nil && snapshot.events == 2)
            #expect(snapshot.audioSeconds == 9 && snapshot.gaps == 0 && snapshot.overruns == 0)
            #expect(snapshot.opening.contains("at full speed"))
            #expect(listener.stop())
        }
    }

    /// The same events as the detector gives for the same samples.
    @Test func equalsTheDetector() async throws {
        let reports = Reports()
        // What a 16-bit file holds of it.
        let audio = (silence(seconds: 1) + noise(seconds: 3) + silence(seconds: 2)).map {
            ($0 * 32_768).rounded() / 32_768
        }
        try await withFile(audio) { source in
            let listener = try listener(source, reports)
            try listener.start()
            #expect(await reports.wait { if case .ended = $0 { true } else { false } })
            listener.stop()
        }
        let model = try Fixture.model()
        var detector = try StreamDetector(
            model, labels: Fixture.labels(["dog"]), settings: DetectionSettings(model))
        let expected = detector.events(audio, chunk: model.stepLength / 4) + detector.finished()
        let events = reports.contents.compactMap { if case .event(let event) = $0 { event } else { nil } }
        #expect(events == expected)
    }

    @Test func hearsAPacedFileAndStopsAtOnce() async throws {
        let reports = Reports()
        try await withFile(noise(seconds: 120)) { source in
            let listener = try listener(source, reports, pacing: .realtime)
            try listener.start()
            #expect(await reports.wait { if case .event = $0 { true } else { false } })
            #expect(listener.snapshot.state == .up && listener.snapshot.opening.contains("in real time"))
            let progress = listener.progress
            #expect(progress > 0)
            // `stop` returns false if the threads have not ended in time.
            #expect(listener.stop(timeout: .seconds(30)))
            #expect(listener.hasEnded)
            // A busy machine may lose audio of a paced source; the sound is then several events.
            let words = reports.words.filter { $0 != "gap" }
            #expect(words.first == "up" && words.last == "ended", "\(words)")
            #expect(words.dropFirst(1).prefix(2) == ["onset dog", "offset dog"], "\(words)")
            #expect(listener.snapshot.audioSeconds < 120)
        }
    }

    @Test func aMissingFileHasEnded() async throws {
        let reports = Reports()
        let listener = try listener(.file(path: "/nowhere/no.wav"), reports)
        try listener.start()
        #expect(await reports.wait { if case .ended = $0 { true } else { false } })
        #expect(reports.words == ["failed"])
        #expect(listener.snapshot.state == .ended)
        #expect(listener.snapshot.problem == "/nowhere/no.wav: no such file")
        #expect(listener.stop())
    }

    @Test func aTruncatedFileTellsItsEventsAndItsProblem() async throws {
        let reports = Reports()
        let path = NSTemporaryDirectory() + "earshot-\(UUID().uuidString).wav"
        try write(Array(waveFile(noise(seconds: 6)).prefix(256_000)), to: path)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let listener = try listener(.file(path: path), reports)
        try listener.start()
        #expect(await reports.wait { if case .ended = $0 { true } else { false } })
        #expect(reports.words == ["up", "onset dog", "offset dog", "failed"])
        #expect(listener.snapshot.problem?.contains("truncated") == true)
        listener.stop()
    }

    @Test func takesNewLabelsWhileItRuns() async throws {
        let reports = Reports()
        try await withFile(noise(seconds: 120)) { source in
            let listener = try listener(source, reports, pacing: .realtime)
            try listener.start()
            #expect(await reports.wait { if case .event(let event) = $0 { event.label == "dog" } else { false } })
            listener.replace(
                labels: try Fixture.labels(["rain"]), detection: try DetectionSettings(Fixture.model()))
            #expect(await reports.wait { if case .event(let event) = $0 { event.label == "rain" } else { false } })
            #expect(listener.stop(timeout: .seconds(30)))
        }
        // A busy machine may lose audio of a paced source; the sound is then several events.
        let labels = reports.words.filter { $0.hasPrefix("on") || $0.hasPrefix("off") }
            .map { String($0.split(separator: " ")[1]) }
        #expect(labels.count % 2 == 0 && labels == labels.sorted(), "dogs first, then rain: \(reports.words)")
        #expect(Set(labels) == ["dog", "rain"])
        let rankings = reports.contents.compactMap { if case .top(_, _, let ranking) = $0 { ranking } else { nil } }
        #expect(rankings.contains { $0.map(\.label) == ["dog"] } && rankings.contains { $0.map(\.label) == ["rain"] })
    }

    @Test func aMissingDeviceIsTriedAgain() async throws {
        let reports = Reports()
        let listener = try listener(.alsa(device: "no_such_device"), reports)
        try listener.start()
        #expect(await reports.wait { if case .down = $0 { true } else { false } })
        #expect(listener.snapshot.state == .down && listener.snapshot.problem?.contains("no_such_device") == true)
        #expect(!listener.hasEnded)
        #expect(listener.stop(timeout: .seconds(30)))
        #expect(listener.hasEnded)
        #expect(reports.words == ["down"])
    }
}
