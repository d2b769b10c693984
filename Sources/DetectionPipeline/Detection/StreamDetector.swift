import AudioEmbedding
import EventDetection
import Labels

/// Detects the events of one stream: scores steps, and turns them into onsets and offsets.
///
/// The synchronous core of a source; ``SourceListener`` gives it a thread. ``process(_:report:)`` neither allocates nor
/// locks but where it has something to report.
package struct StreamDetector: ~Copyable {
    /// How many labels a report ranks.
    private static let topCount = 5
    /// How many labels the live ranking holds.
    private static let liveTopCount = 20

    private let model: DetectionModel
    private var settings: DetectionSettings
    private var scorer: StepScorer
    private var events: EventDetector
    /// The sample clock: samples since the source was opened, lost ones included.
    package private(set) var clock: Int64
    /// Where the audio ends, once that is known: no event lasts longer.
    private var end = Int64.max
    /// The sample clock where the audio began or went on after a loss: no event begins earlier.
    private var stretchStart: Int64
    private var lastSample: Float = 0
    /// Level of the newest step in dBFS.
    package private(set) var levelDecibels: Float = -.infinity
    /// Steps scored so far.
    package private(set) var stepCount = 0
    /// Whether each step's ranking is reported.
    package var reportsTop = false

    /// Every so many windows one is matched, at least 1; see ``StepScorer/windowStride``.
    package var windowStride: Int {
        get { scorer.windowStride }
        set { scorer.windowStride = newValue }
    }

    /// Nothing is scored; see ``StepScorer/isPaused``.
    package var isPaused: Bool {
        get { scorer.isPaused }
        set { scorer.isPaused = newValue }
    }

    /// Windows that were not matched because of ``windowStride``.
    package var skippedWindows: Int { scorer.skippedWindows }

    /// - Parameters:
    ///   - nextEvent: Number of the first event.
    ///   - clockStart: Sample clock of the first sample.
    package init(
        _ model: DetectionModel, labels: CompiledLabels, settings: DetectionSettings, nextEvent: UInt64 = 0,
        clockStart: Int64 = 0
    ) throws {
        self.model = model
        self.settings = settings
        clock = clockStart
        stretchStart = clockStart
        scorer = try StepScorer(model, labels: labels, settings: settings, clockStart: clockStart)
        events = EventDetector(
            settings.eventDetector(for: labels.entries, model: model), nextEvent: nextEvent)
    }

    /// Number that the next event will have; a detector that goes on for this one begins with it.
    package var nextEvent: UInt64 { events.nextEvent }

    package var labels: CompiledLabels { scorer.labels }

    /// - Parameter samples: At the model's rate, any number.
    package mutating func process(
        _ samples: UnsafeBufferPointer<Float>, report: (SourceReport.Content) -> Void
    ) {
        clock += Int64(samples.count)
        lastSample = samples.last ?? lastSample
        let (now, bounds, labels) = (clock, stretchStart...end, scorer.labels)
        scorer.process(samples) { step in
            levelDecibels = step.level
            stepCount += 1
            events.process(
                stepStart: step.start, scores: step.shares, isSilent: step.isSilent, level: step.level
            ) { transition in
                report(
                    .event(
                        Self.report(
                            transition, labels: labels, clock: now, bounds: bounds,
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
    }

    /// Lost audio: what was heard before it is decided, open events end there, and the sample clock goes on behind it.
    package mutating func skip(_ lostSamples: Int, report: (SourceReport.Content) -> Void) {
        drain(report: report)
        close(isGap: true, report: report)
        clock += Int64(lostSamples)
        stretchStart = clock
        end = .max
        lastSample = 0
        scorer.restart(at: clock)
    }

    /// The end of the stream: what was heard is decided, and open events end.
    package mutating func finish(report: (SourceReport.Content) -> Void) {
        drain(report: report)
        close(isGap: false, report: report)
    }

    /// Decides what the encoder and the window still hold, by the audio that they look ahead for.
    ///
    /// It is the last value held: a jump to zero would be a click, even for a dead microphone that gives a constant.
    private mutating func drain(report: (SourceReport.Content) -> Void) {
        end = clock
        let tail = model.configuration.encoder.lookaheadSamples + settings.windowSteps * model.stepLength / 2
        let silence = [Float](repeating: lastSample.isFinite ? lastSample : 0, count: tail)
        silence.withUnsafeBufferPointer { process($0, report: report) }
        clock = end
    }

    /// Listens for other labels, or with other thresholds, from here on; open events end. Labels that stay keep their
    /// cooldown and what is usual of them here.
    package mutating func replace(
        labels: CompiledLabels, settings: DetectionSettings, report: (SourceReport.Content) -> Void
    ) throws {
        close(isGap: false, report: report)
        let kept = labels.indices(in: scorer.labels)
        try scorer.replace(labels: labels, settings: settings)
        self.settings = settings
        var next = EventDetector(
            settings.eventDetector(for: labels.entries, model: model), nextEvent: events.nextEvent)
        next.keepCooldowns(of: events, indices: kept)
        events = next
    }

    /// Ends the open events, before lost audio or at the end.
    private mutating func close(isGap: Bool, report: (SourceReport.Content) -> Void) {
        let (now, bounds, labels) = (clock, stretchStart...end, scorer.labels)
        func emit(_ transition: EventTransition) {
            report(.event(Self.report(transition, labels: labels, clock: now, bounds: bounds, top: [])))
        }
        if isGap { events.gap(emit: emit) } else { events.finish(emit: emit) }
    }

    /// - Parameter bounds: The audio that the event is in; steps at its edges reach beyond it.
    private static func report(
        _ transition: EventTransition, labels: CompiledLabels, clock: Int64, bounds: ClosedRange<Int64>,
        top: [LabelShare]
    ) -> EventReport {
        let kind: EventReport.Kind
        switch transition.kind {
        case .onset: kind = .onset
        case .update: kind = .update
        case .offset: kind = .offset
        }
        return EventReport(
            kind: kind, number: transition.event, label: labels.entries[transition.label].name,
            score: transition.peakScore,
            onsetSample: transition.onsetSample.clamped(to: bounds),
            offsetSample: transition.offsetSample?.clamped(to: bounds),
            reportedSample: clock, levelDecibels: transition.peakLevel, top: top)
    }

    private static func ranking(
        _ shares: UnsafeBufferPointer<Float>, labels: CompiledLabels, count: Int
    ) -> [LabelShare] {
        let order = shares.indices.sorted { shares[$0] > shares[$1] }
        return order.prefix(count).map { LabelShare(label: labels.entries[$0].name, share: shares[$0]) }
    }
}

extension Int64 {
    fileprivate func clamped(to bounds: ClosedRange<Int64>) -> Int64 {
        Swift.min(Swift.max(self, bounds.lowerBound), bounds.upperBound)
    }
}
