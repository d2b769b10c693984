import AudioCapture
import DetectionPipeline
import Foundation
import OptimalTransport
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
            case .silent: "silent"
            case .widened(let stride): "widened \(stride)"
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
        _ source: SourceSpecification, _ reports: Reports, pacing: AudioInput.Pacing = .fullSpeed,
        ringDuration: Duration = .seconds(8), adjust: (inout SourceListener.Settings) -> Void = { _ in }
    ) throws -> SourceListener {
        let model = try Fixture.model()
        let input = AudioInput.Configuration(
            source: source, modelSampleRate: model.sampleRate, pacing: pacing, ringDuration: ringDuration)
        var settings = try settings(["dog"])
        adjust(&settings)
        return SourceListener(
            .init(name: "test", input: input), model: model, settings: settings, wantsTop: { true },
            report: reports.take)
    }

    private func settings(_ labels: [String]) throws -> SourceListener.Settings {
        .init(labels: try Fixture.labels(labels), detection: try DetectionSettings(Fixture.model()))
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
            let stages = listener.stages
            #expect(stages.map(\.stage) == [.inference, .capture] && stages.allSatisfy { $0.turns > 0 }, "\(stages)")
            // `stop` returns false if the threads have not ended in time.
            #expect(listener.stop(timeout: .seconds(30)))
            #expect(listener.hasEnded && listener.stages.isEmpty)
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
            listener.replace(try settings(["rain"]))
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

    /// Silence is told of once, sound after it as well, and neither makes an event of its own.
    @Test(arguments: [Float(0), -0.4]) func tellsOfADeadMicrophone(constant: Float) async throws {
        let reports = Reports()
        let dead = [Float](repeating: constant, count: 12 * 32_000)
        try await withFile(noise(seconds: 3) + dead + noise(seconds: 3)) { source in
            let listener = try listener(source, reports) { $0.silentAfter = 5 }
            try listener.start()
            #expect(await reports.wait { if case .silent = $0 { true } else { false } })
            #expect(await reports.wait { if case .ended = $0 { true } else { false } })
            listener.stop()
        }
        #expect(
            reports.words == [
                "up", "onset dog", "offset dog", "silent", "recovered", "onset dog", "offset dog", "ended",
            ])
        // Sound is heard from its beginning, whatever was said about the source before.
        let onsets = reports.contents.compactMap { content -> Double? in
            if case .event(let event) = content, event.kind == .onset { return Double(event.onsetSample) / 32_000 }
            return nil
        }
        #expect(onsets.count == 2 && abs(onsets[1] - 15) < 0.5, "\(onsets)")
    }

    /// The labels' potentials are solved so thoroughly that a window takes longer than it lasts.
    @Test(arguments: [false, true]) func slowInferenceIsSeen(widens: Bool) async throws {
        let iterations = try iterations(forSeconds: 0.4)
        let reports = Reports()
        try await withFile(noise(seconds: 120)) { source in
            let listener = try listener(source, reports, pacing: .realtime, ringDuration: .seconds(2)) {
                $0.widensUnderLoad = widens
                $0.detection.transport.iterationsPerStep = iterations
            }
            try listener.start()
            if widens {
                #expect(await reports.wait { if case .widened = $0 { true } else { false } })
                #expect(listener.snapshot.windowStride > 1)
                // With an easier task it finds its way back.
                listener.replace(try settings(["dog"]))
                #expect(await reports.wait { if case .widened = $0 { true } else { false } })
            } else {
                #expect(await reports.wait { if case .gap(_, _, "overflow") = $0 { true } else { false } })
                let snapshot = listener.snapshot
                #expect(snapshot.droppedFrames > 0 && snapshot.gaps > 0 && snapshot.lostSeconds > 0, "\(snapshot)")
                #expect(snapshot.windowStride == 1 && snapshot.skippedWindows == 0)
            }
            #expect(listener.stop(timeout: .seconds(30)))
        }
    }

    /// Iterations of the transport that take so much processor time for each window on this machine.
    private func iterations(forSeconds seconds: Double) throws -> Int {
        let model = try Fixture.model()
        var settings = try DetectionSettings(model)
        settings.transport.iterationsPerStep = 2000
        var scorer = try StepScorer(model, labels: try Fixture.labels(["dog"]), settings: settings)
        var steps = 0
        let begin = processorSeconds()
        forEachChunk(of: noise(seconds: 2), 5120) { scorer.process($0) { _ in steps += 1 } }
        return max(1, Int(2000 * seconds * Double(steps) / (processorSeconds() - begin)))
    }

    /// Of this thread: time in which others had the processor does not count, or the task would be too easy without them.
    private func processorSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
