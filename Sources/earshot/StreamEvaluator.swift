import AudioCapture
import AudioEmbedding
import DetectionPipeline
import Evaluation
import EventDetection
import Labels

/// Scores of one recording, step by step, so that events can be drawn from them at any threshold.
struct ScoredStream {
    let name: String
    let seconds: Double
    /// [stepCount x labelCount].
    var shares: [Float] = []
    var starts: [Int64] = []
    /// Sample clock when each step became known.
    var heard: [Int64] = []
    var isSilent: [Bool] = []
    var levels: [Float] = []
}

/// Runs recordings through the streaming detector and draws events from their scores.
struct StreamEvaluator {
    let model: DetectionModel
    let labels: CompiledLabels
    let settings: DetectionSettings

    /// - Throws: `AudioCaptureError` for a file that cannot be read in full.
    func score(_ path: String, name: String) throws -> ScoredStream {
        let decoded = try decodeFile(path, sampleRate: model.sampleRate)
        if let failure = decoded.failure { throw failure }
        var stream = ScoredStream(name: name, seconds: Double(decoded.samples.count) / Double(model.sampleRate))
        var scorer = try StepScorer(model, labels: labels, settings: settings)
        let tail = model.configuration.encoder.lookaheadSamples + settings.windowSteps * model.stepLength / 2
        let samples = decoded.samples + [Float](repeating: 0, count: tail)
        let chunk = model.stepLength / 4
        samples.withUnsafeBufferPointer { samples in
            var position = 0
            while position < samples.count {
                let end = min(position + chunk, samples.count)
                scorer.process(UnsafeBufferPointer(rebasing: samples[position..<end])) { step in
                    stream.shares.append(contentsOf: step.shares)
                    stream.starts.append(step.start)
                    stream.heard.append(Int64(end))
                    stream.isSilent.append(step.isSilent)
                    stream.levels.append(step.level)
                }
                position = end
            }
        }
        return stream
    }

    /// The events of a scored recording, as the daemon would send them, and when each onset would be sent.
    ///
    /// - Parameter threshold: One on-threshold for all labels; nil for the settings'.
    func events(of stream: ScoredStream, threshold: Float? = nil) -> (events: [SoundEvent], reports: [OnsetReport]) {
        var settings = settings
        if let threshold { settings.setThreshold(threshold) }
        var detector = EventDetector(settings.eventDetector(for: labels.entries, model: model))
        let rate = Double(model.sampleRate)
        var events: [SoundEvent] = []
        var reports: [OnsetReport] = []
        var now: Int64 = 0
        func take(_ transition: EventTransition) {
            let label = labelName(ofCategory: labels.entries[transition.label].name)
            if transition.kind == .onset {
                reports.append(OnsetReport(filename: stream.name, label: label, emission: Double(now) / rate))
            } else if let offset = transition.offsetSample {
                let onset = max(0, Double(transition.onsetSample) / rate)
                let end = min(Double(offset) / rate, stream.seconds)
                guard end > onset else { return }
                events.append(SoundEvent(filename: stream.name, onset: onset, offset: end, label: label))
            }
        }
        stream.shares.withUnsafeBufferPointer { shares in
            for step in stream.starts.indices {
                now = stream.heard[step]
                detector.process(
                    stepStart: stream.starts[step],
                    scores: UnsafeBufferPointer(rebasing: shares[step * labels.count..<(step + 1) * labels.count]),
                    isSilent: stream.isSilent[step], level: stream.levels[step], emit: take)
            }
        }
        detector.finish(emit: take)
        return (events, reports)
    }
}

/// What `earshot evaluate streams` prints.
struct StreamsReport: Encodable {
    struct Detection: Encodable {
        var f1: Double
        var precision: Double
        var recall: Double

        init(_ counts: DetectionCounts) {
            f1 = rounded(counts.f1 ?? 0, 4)
            precision = rounded(counts.precision, 4)
            recall = rounded(counts.recall ?? 0, 4)
        }
    }

    let model: String
    let labels: Int
    var streams: Int?
    /// Event-based, micro averages.
    var eventF1Collar200ms: Detection?
    var eventF1Collar500ms: Detection?
    /// Segment-based, 1 s, micro averages.
    var segmentF1: Detection?
    var psds1: Double?
    var psds2: Double?
    /// Seconds of audio from a sound's onset to its onset line, over the sounds that were reported.
    var medianDelay: Double?
    var reported: Int?
    var missed: Int?
    var falseAlarmsPerHour: Double?
    var backgroundHours: Double?
    var falseAlarmsByLabel: [String: Int]?

    enum CodingKeys: String, CodingKey {
        case model, labels, streams
        case eventF1Collar200ms = "event_based_0.2s"
        case eventF1Collar500ms = "event_based_0.5s"
        case segmentF1 = "segment_based_1s"
        case psds1, psds2
        case medianDelay = "median_delay"
        case reported, missed
        case falseAlarmsPerHour = "false_alarms_per_hour"
        case backgroundHours = "background_hours"
        case falseAlarmsByLabel = "false_alarms_by_label"
    }

    init(model: String, labels: Int) {
        self.model = model
        self.labels = labels
    }

    mutating func addFigures(of scores: [ScoredStream], truth: EventTruth, evaluator: StreamEvaluator) throws {
        let drawn = scores.map { evaluator.events(of: $0) }
        let events = drawn.flatMap(\.events)
        streams = scores.count
        eventF1Collar200ms = Detection(
            EventBasedMetrics(collar: 0.2).evaluate(reference: truth.events, estimated: events).overall)
        eventF1Collar500ms = Detection(
            EventBasedMetrics(collar: 0.5).evaluate(reference: truth.events, estimated: events).overall)
        segmentF1 = Detection(SegmentBasedMetrics().evaluate(reference: truth.events, estimated: events).overall)
        let durations = Dictionary(uniqueKeysWithValues: scores.map { ($0.name, $0.seconds) })
        let points = (1...50).map { step in
            scores.flatMap { evaluator.events(of: $0, threshold: Float(step) / 51).events }.joiningOverlaps()
        }
        let reference = truth.events.joiningOverlaps()
        psds1 = rounded(
            try PolyphonicDetectionScore.scenario1.evaluate(
                operatingPoints: points, truth: reference, durations: durations
            ).value, 4)
        psds2 = rounded(
            try PolyphonicDetectionScore.scenario2.evaluate(
                operatingPoints: points, truth: reference, durations: durations
            ).value, 4)
        let latency = DetectionLatency(reports: drawn.flatMap(\.reports), truth: truth.events)
        medianDelay = latency.delay.map { rounded($0.median, 3) }
        reported = latency.reportedCount
        missed = latency.missedCount
    }

    mutating func addFalseAlarms(of scores: [ScoredStream], evaluator: StreamEvaluator) throws {
        let alarms = try FalseAlarms(
            events: scores.flatMap { evaluator.events(of: $0).events },
            durations: Dictionary(uniqueKeysWithValues: scores.map { ($0.name, $0.seconds) }))
        falseAlarmsPerHour = rounded(alarms.perHour, 2)
        backgroundHours = rounded(alarms.hours, 3)
        falseAlarmsByLabel = alarms.countByLabel
    }

    func printTable() {
        func line(_ name: String, _ value: String) { print(padded(name, 32) + value) }
        func percent(_ detection: Detection?) -> String? {
            detection.map { "F1 \($0.f1)  precision \($0.precision)  recall \($0.recall)" }
        }
        print("model \(model), \(labels) labels")
        if let streams {
            print("\(streams) streams, streaming transport, one threshold for all labels")
            line("event-based, collar 0.2 s", percent(eventF1Collar200ms) ?? "")
            line("event-based, collar 0.5 s", percent(eventF1Collar500ms) ?? "")
            line("segment-based, 1 s", percent(segmentF1) ?? "")
            line("PSDS1, PSDS2", "\(psds1 ?? 0), \(psds2 ?? 0)")
            line(
                "onset to report, median",
                medianDelay.map { "\($0) s (\(reported ?? 0) reported, \(missed ?? 0) missed)" } ?? "nothing reported")
        }
        if let falseAlarmsPerHour {
            line("false alarms per hour", "\(falseAlarmsPerHour) (over \(backgroundHours ?? 0) h)")
            for (label, count) in (falseAlarmsByLabel ?? [:]).sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
                line("  \(label)", "\(count)")
            }
        }
    }
}
