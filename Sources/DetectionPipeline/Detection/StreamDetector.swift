import EventDetection

/// Detects the events of one stream: scores steps, and turns them into onsets and offsets.
///
/// The synchronous core of a source; ``SourceListener`` gives it a thread. ``process(_:report:)`` neither allocates nor
/// locks but where it has something to report.
package struct StreamDetector {
    /// How many labels a report ranks.
    private static let topCount = 5
    /// How many labels the live ranking holds.
    private static let liveTopCount = 20

    private let model: DetectionModel
    private let settings: DetectionSettings
    private var scorer: StepScorer
    private var events: EventDetector
    /// Ordinal of the event detector's event 0.
    private var firstOrdinal: Int
    private var eventCount = 0
    /// The sample clock: samples since the source was opened, lost ones included.
    package private(set) var clock: Int64
    /// Level of the newest step in dBFS.
    package private(set) var levelDecibels: Float = -.infinity
    /// Whether each step's ranking is reported.
    package var reportsTop = false

    /// - Parameters:
    ///   - firstOrdinal: Number of the last event before these; the first gets the next.
    ///   - clockStart: Sample clock of the first sample.
    package init(
        _ model: DetectionModel, labels: CompiledLabels, settings: DetectionSettings, firstOrdinal: Int = 0,
        clockStart: Int64 = 0
    ) throws {
        self.model = model
        self.settings = settings
        self.firstOrdinal = firstOrdinal
        clock = clockStart
        scorer = try StepScorer(model, labels: labels, settings: settings, clockStart: clockStart)
        events = EventDetector(settings.eventDetector(for: labels.entries, model: model))
    }

    /// Number of the newest event.
    package var lastOrdinal: Int { firstOrdinal + eventCount }

    package var labels: CompiledLabels { scorer.labels }

    /// - Parameter samples: At the model's rate, any number.
    package mutating func process(
        _ samples: UnsafeBufferPointer<Float>, report: (SourceReport.Content) -> Void
    ) {
        clock += Int64(samples.count)
        let now = clock
        let labels = scorer.labels
        var newest = eventCount
        scorer.process(samples) { step in
            levelDecibels = step.level
            events.process(
                stepStart: step.start, scores: step.shares, isSilent: step.isSilent, level: step.level
            ) { transition in
                newest = max(newest, Int(transition.event) + 1)
                report(
                    .event(
                        Self.report(
                            transition, ordinal: firstOrdinal + Int(transition.event) + 1, labels: labels, clock: now,
                            top: Self.ranking(step.shares, labels: labels, count: Self.topCount))))
            }
            if reportsTop {
                report(
                    .top(
                        sample: step.start + Int64(model.stepLength), levelDecibels: step.level,
                        ranking: step.isSilent
                            ? [] : Self.ranking(step.shares, labels: labels, count: Self.liveTopCount)))
            }
        }
        eventCount = newest
    }

    /// Lost audio: open events end where it began, and the sample clock goes on behind it.
    package mutating func skip(_ lostSamples: Int, report: (SourceReport.Content) -> Void) {
        close(report) { events, emit in events.gap(emit: emit) }
        clock += Int64(lostSamples)
        scorer.restart(at: clock)
    }

    /// The end of the stream: what the encoder and the filters still hold is decided, and open events end.
    package mutating func finish(report: (SourceReport.Content) -> Void) {
        let end = clock
        // Silence lets the encoder and the window finish what they look ahead for.
        let tail = model.configuration.encoder.lookaheadSamples + settings.windowSteps * model.stepLength / 2
        let silence = [Float](repeating: 0, count: tail)
        silence.withUnsafeBufferPointer { process($0, report: report) }
        clock = end
        close(report) { events, emit in events.finish(emit: emit) }
    }

    /// Listens for other labels from here on; open events end.
    package mutating func replace(labels: CompiledLabels, report: (SourceReport.Content) -> Void) throws {
        close(report) { events, emit in events.finish(emit: emit) }
        try scorer.replace(labels: labels)
        events = EventDetector(settings.eventDetector(for: labels.entries, model: model))
        firstOrdinal += eventCount
        eventCount = 0
    }

    private mutating func close(
        _ report: (SourceReport.Content) -> Void,
        with end: (inout EventDetector, (EventTransition) -> Void) -> Void
    ) {
        let (now, labels, first) = (clock, scorer.labels, firstOrdinal)
        var newest = eventCount
        end(&events) { transition in
            newest = max(newest, Int(transition.event) + 1)
            report(
                .event(
                    Self.report(
                        transition, ordinal: first + Int(transition.event) + 1, labels: labels, clock: now, top: [])))
        }
        eventCount = newest
    }

    private static func report(
        _ transition: EventTransition, ordinal: Int, labels: CompiledLabels, clock: Int64, top: [LabelShare]
    ) -> EventReport {
        let kind: EventReport.Kind
        switch transition.kind {
        case .onset: kind = .onset
        case .update: kind = .update
        case .offset: kind = .offset
        }
        return EventReport(
            kind: kind, ordinal: ordinal, label: labels.entries[transition.label].name, score: transition.peakScore,
            onsetSample: max(transition.onsetSample, 0), offsetSample: transition.offsetSample.map { max($0, 0) },
            reportedSample: clock, levelDecibels: transition.peakLevel, top: top)
    }

    private static func ranking(
        _ shares: UnsafeBufferPointer<Float>, labels: CompiledLabels, count: Int
    ) -> [LabelShare] {
        let order = shares.indices.sorted { shares[$0] > shares[$1] }
        return order.prefix(count).map { LabelShare(label: labels.entries[$0].name, share: shares[$0]) }
    }
}
