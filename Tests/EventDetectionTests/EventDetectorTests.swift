import Testing

@testable import EventDetection

@Suite struct EventDetectorTests {
    static let step: Int64 = 100

    func configuration(
        median: Int = 1, minimum: Int64 = 0, gap: Int64 = 0, cooldown: Int64 = 0, labels: Int = 1
    ) -> EventDetectorConfiguration {
        var configuration = EventDetectorConfiguration(
            stepLength: Self.step,
            labels: [EventDetectorConfiguration.Label](
                repeating: .init(
                    onThreshold: 0.6, offThreshold: 0.4, minimumEventLength: minimum * Self.step,
                    cooldown: cooldown * Self.step), count: labels))
        configuration.medianFilterLength = median
        configuration.minimumEventGap = gap * Self.step
        return configuration
    }

    func run(_ configuration: EventDetectorConfiguration, _ scores: [Float]) -> Recorder {
        var recorder = Recorder(configuration)
        for score in scores { recorder.step([score]) }
        recorder.finish()
        return recorder
    }

    /// Onset and offset in steps.
    func spans(_ configuration: EventDetectorConfiguration, _ scores: [Float]) -> [[Int64]] {
        run(configuration, scores).events.map { [$0.onset / Self.step, $0.offset / Self.step] }
    }

    // MARK: Against the reference

    static let seeds = Array(0..<60) as [UInt64]

    @Test(arguments: seeds)
    func streamingEqualsTheReference(seed: UInt64) {
        var random = SeededGenerator(state: seed)
        let labelCount = Int.random(in: 1...4, using: &random)
        var configuration = configuration(labels: labelCount)
        configuration.medianFilterLength = [1, 3, 5, 9].randomElement(using: &random)!
        configuration.sustainedLength = .random(in: 1...20, using: &random)
        // Not only whole steps.
        configuration.minimumEventGap = .random(in: 0...700, using: &random)
        configuration.maximumOnsetLead = Bool.random(using: &random) ? 0 : .random(in: 0...1500, using: &random)
        for label in 0..<labelCount {
            configuration.labels[label].offThreshold = .random(in: 0.2...0.6, using: &random)
            configuration.labels[label].sustainedThreshold =
                Bool.random(using: &random) ? nil : .random(in: 0.2...0.7, using: &random)
            configuration.labels[label].minimumEventLength = .random(in: 0...600, using: &random)
            configuration.labels[label].cooldown = .random(in: 0...2000, using: &random)
        }
        let (scores, silent) = noise(steps: Int.random(in: 0...400, using: &random), labelCount, &random)
        let start = Int64.random(in: -500...500, using: &random)
        var recorder = Recorder(configuration, start: start)
        for step in scores.indices { recorder.step(scores[step], isSilent: silent[step]) }
        recorder.finish()
        let expected = Reference.events(configuration, scores: scores, silent: silent, start: start)
        #expect(recorder.events == expected)
        checkOrder(recorder.transitions)
    }

    @Test func theReferenceFindsSomething() {
        var total = 0
        for seed in Self.seeds {
            var random = SeededGenerator(state: seed)
            let (scores, silent) = noise(steps: 200, 2, &random)
            total +=
                Reference.events(
                    configuration(median: 3, minimum: 2, gap: 3, cooldown: 5, labels: 2), scores: scores, silent: silent
                ).count
        }
        #expect(total > 500)
    }

    @Test(arguments: [1, 2, 17])
    func shiftingTheInputShiftsTheEvents(shift: Int) {
        var random = SeededGenerator(state: 99)
        let configuration = configuration(median: 5, minimum: 2, gap: 3, cooldown: 4, labels: 3)
        let (scores, silent) = noise(steps: 300, 3, &random)
        var plain = Recorder(configuration)
        var shifted = Recorder(configuration)
        for _ in 0..<shift { shifted.step([0, 0, 0]) }
        for step in scores.indices {
            plain.step(scores[step], isSilent: silent[step])
            shifted.step(scores[step], isSilent: silent[step])
        }
        plain.finish()
        shifted.finish()
        let offset = Int64(shift) * Self.step
        #expect(!plain.events.isEmpty)
        #expect(
            shifted.events
                == plain.events.map {
                    .init(label: $0.label, onset: $0.onset + offset, offset: $0.offset + offset, peak: $0.peak)
                })
        #expect(shifted.times == plain.times.map { $0 + offset })
    }

    @Test func silenceIsNeverAnEvent() {
        var recorder = Recorder(configuration(median: 3))
        for _ in 0..<100 { recorder.step([1e9], isSilent: true) }
        recorder.finish()
        #expect(recorder.transitions.isEmpty)
        // A silent step between loud ones is not filled in by the median either.
        recorder = Recorder(configuration(median: 5))
        for step in 0..<11 { recorder.step([1], isSilent: step == 5) }
        recorder.finish()
        #expect(recorder.events.map(\.onset) == [0, 600])
    }

    // MARK: State machine

    @Test func hysteresisHoldsBetweenTheThresholds() {
        #expect(spans(configuration(), [0.5, 0.59, 0.6, 0.5, 0.4, 0.39, 0.5, 0.7]) == [[2, 5], [7, 8]])
    }

    // MARK: What goes on needs less than what is short

    @Test func aSustainedScoreBeginsAnEvent() {
        var configuration = configuration()
        configuration.labels[0].offThreshold = 0.1
        configuration.maximumOnsetLead = 9 * Self.step
        let scores: [Float] = [0, 0.4, 0.4, 0.4, 0.4, 0.4, 0]
        #expect(spans(configuration, scores) == [])
        (configuration.sustainedLength, configuration.labels[0].sustainedThreshold) = (4, 0.3)
        // The mean over 4 steps reaches 0.3 at the third of them; the event begins where the run did.
        #expect(spans(configuration, scores) == [[1, 6]])
        #expect(run(configuration, scores).times[0] == 4 * Self.step)
        configuration.maximumOnsetLead = Self.step
        #expect(spans(configuration, scores) == [[2, 6]])
        configuration.labels[0].sustainedThreshold = 0.42
        #expect(spans(configuration, scores) == [])
        configuration.labels[0].sustainedThreshold = 0.6
        #expect(spans(configuration, scores) == [])
    }

    @Test func whatWasBeforeARunCountsAsNothing() {
        var configuration = configuration()
        configuration.labels[0].offThreshold = 0.1
        (configuration.sustainedLength, configuration.labels[0].sustainedThreshold) = (4, 0.3)
        #expect(spans(configuration, [0.4, 0.4, 0]) == [])
        #expect(spans(configuration, [1, 1, 0, 0.2, 0.2, 0]) == [[0, 2]])
        var recorder = Recorder(configuration)
        for _ in 0..<2 { recorder.step([0.4]) }
        recorder.gap()
        for _ in 0..<2 { recorder.step([0.4]) }
        recorder.finish()
        #expect(recorder.transitions.isEmpty)
    }

    @Test func noScoreNoEvent() {
        #expect(spans(configuration(), []).isEmpty)
        #expect(spans(configuration(median: 5), [1]).isEmpty)
        #expect(spans(configuration(), [.nan, -.infinity, .nan]).isEmpty)
        #expect(spans(configuration(), [1, .nan, .infinity]) == [[0, 1], [2, 3]])
    }

    @Test func onsetComesAsSoonAsItIsSure() {
        let recorder = run(configuration(minimum: 3, gap: 2), [0, 1, 1, 1, 1, 0, 0, 0])
        #expect(recorder.transitions.map(\.kind) == [.onset, .offset])
        #expect(recorder.transitions.map(\.onsetSample) == [100, 100])
        #expect(recorder.transitions.map(\.offsetSample) == [nil, 500])
        // The third active step ends at 400; the gap of two steps after 500 has passed at 700.
        #expect(recorder.times == [400, 700])
    }

    @Test func theMedianDelaysDecisionsButNotTimes() {
        let recorder = run(configuration(median: 5), [0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0])
        #expect(recorder.events.map { [$0.onset, $0.offset] } == [[300, 800]])
        #expect(recorder.times == [600, 1100])
        #expect(spans(configuration(median: 5), [0, 0, 1, 1, 0, 0, 0]).isEmpty)
        #expect(spans(configuration(median: 3), [1, 1, 0, 1, 1]) == [[0, 5]])
    }

    @Test func shortRunsAreDroppedBeforeGapsAreClosed() {
        // Two clicks are no event, though together with the gap they span three steps.
        #expect(spans(configuration(minimum: 2, gap: 3), [1, 0, 1, 0, 0, 0]).isEmpty)
        // Nor does a click prolong an event.
        #expect(spans(configuration(minimum: 2, gap: 3), [1, 1, 0, 1, 0, 0, 0]) == [[0, 2]])
        #expect(spans(configuration(minimum: 2, gap: 3), [1, 1, 0, 0, 1, 1, 0]) == [[0, 6]])
        #expect(spans(configuration(minimum: 2, gap: 3), [1, 1, 0, 0, 0, 1, 1]) == [[0, 2], [5, 7]])
    }

    /// A run that began within the gap keeps the event open until it is known whether the run counts.
    @Test func anOffsetWaitsForARunThatMayJoin() {
        let joined = run(configuration(minimum: 3, gap: 2), [1, 1, 1, 0, 1, 1, 1, 0, 0, 0])
        #expect(joined.events.map { [$0.onset, $0.offset] } == [[0, 700]])
        #expect(joined.times == [300, 900])
        let alone = run(configuration(minimum: 3, gap: 2), [1, 1, 1, 0, 1, 1, 0, 0])
        #expect(alone.events.map { [$0.onset, $0.offset] } == [[0, 300]])
        #expect(alone.times == [300, 700])
    }

    @Test func aLabelDoesNotAlertAgainWithinItsCooldown() {
        #expect(spans(configuration(cooldown: 4), [1, 0, 1, 0, 1, 0, 1]) == [[0, 1], [4, 5]])
        // It may extend, and what lasts beyond the cooldown is told, with its true onset.
        #expect(spans(configuration(gap: 2, cooldown: 4), [1, 0, 1, 0, 0, 1, 0]) == [[0, 3]])
        let late = run(configuration(cooldown: 4), [1, 0, 1, 1, 1, 1, 1, 0])
        #expect(late.events.map { [$0.onset, $0.offset] } == [[0, 100], [200, 700]])
        #expect(late.times == [100, 200, 500, 800])
    }

    @Test func labelsAreIndependentAndIdsFollowTheOnsets() {
        var settings = configuration(labels: 3)
        settings.labels[1].onThreshold = 0.95
        settings.labels[2].minimumEventLength = 300
        var recorder = Recorder(settings)
        for scores: [Float] in [[0, 0.9, 1], [1, 0.99, 1], [1, 0, 1], [0, 0, 0]] { recorder.step(scores) }
        recorder.finish()
        let onsets = recorder.transitions.filter { $0.kind == .onset }
        #expect(onsets.map(\.label) == [0, 1, 2])
        #expect(onsets.map(\.event) == [0, 1, 2])
        #expect(onsets.map(\.onsetSample) == [100, 100, 0])
        #expect(recorder.detector.nextEvent == 3)
        #expect(EventDetector(settings, nextEvent: 3).nextEvent == 3)
        checkOrder(recorder.transitions)
    }

    @Test func updatesScoresAndLevels() {
        var settings = configuration()
        settings.updateInterval = 200
        var recorder = Recorder(settings)
        for (score, level) in [(0.7, -30), (0.9, -20), (0.8, -25), (0.5, -40), (0.5, -41), (0, -3)] as [(Float, Float)]
        {
            recorder.step([score], level: level)
        }
        recorder.finish()
        #expect(recorder.transitions.map(\.kind) == [.onset, .update, .update, .offset])
        #expect(recorder.transitions.map(\.score) == [0.7, 0.8, 0.5, 0.5])
        #expect(recorder.transitions.map(\.peakScore) == [0.7, 0.9, 0.9, 0.9])
        #expect(recorder.transitions.map(\.peakLevel) == [-30, -20, -20, -20])
        #expect(recorder.transitions.map(\.offsetSample) == [nil, nil, nil, 500])
    }

    @Test func lostAudioClosesAndNothingIsJoinedAcrossIt() {
        var recorder = Recorder(configuration(median: 3, minimum: 2, gap: 10, cooldown: 6))
        for score: Float in [1, 1, 1, 1] { recorder.step([score]) }
        recorder.next += 5000  // the detector notices by itself
        for score: Float in [1, 1, 1, 0, 0, 0] { recorder.step([score]) }
        recorder.gap()
        for score: Float in [1, 1, 0] { recorder.step([score]) }
        recorder.finish()
        let spans = recorder.events.map { [$0.onset, $0.offset] }
        // The median has -∞ on both sides of the loss. The last run falls into the cooldown.
        #expect(spans == [[0, 400], [5400, 5700]])
        checkOrder(recorder.transitions)
    }

    @Test func gapAndFinishWithoutAudioDoNothing() {
        var recorder = Recorder(configuration(median: 3))
        recorder.gap()
        recorder.finish()
        recorder.finish()
        #expect(recorder.transitions.isEmpty)
        recorder.step([1])
        recorder.step([1])
        recorder.finish()
        recorder.finish()
        #expect(recorder.events.map { [$0.onset, $0.offset] } == [[0, 200]])
    }

    @Test func configurationInSeconds() {
        var seconds = EventDetectorConfiguration.InSeconds(labels: [
            .init(onThreshold: 0.5, offThreshold: 0.375),
            .init(onThreshold: 2, offThreshold: 1.5, sustainedThreshold: 1.75, minimumEventLength: 1, cooldown: 30),
        ])
        seconds.sustainedLength = 0.4
        seconds.medianFilterLength = 0.5
        seconds.minimumEventGap = 0.3
        seconds.maximumOnsetLead = 1.5
        seconds.minimumEventLength = 0.25
        seconds.cooldown = 10
        seconds.updateInterval = 5
        let configuration = EventDetectorConfiguration(seconds, sampleRate: 32000, stepLength: 5120)
        #expect(configuration.medianFilterLength == 3)
        #expect(configuration.sustainedLength == 3)
        #expect(configuration.minimumEventGap == 9600)
        #expect(configuration.maximumOnsetLead == 48000)
        #expect(configuration.updateInterval == 160_000)
        #expect(
            configuration.labels == [
                .init(onThreshold: 0.5, offThreshold: 0.375, minimumEventLength: 8000, cooldown: 320_000),
                .init(
                    onThreshold: 2, offThreshold: 1.5, sustainedThreshold: 1.75, minimumEventLength: 32000,
                    cooldown: 960_000),
            ])
        (seconds.medianFilterLength, seconds.sustainedLength) = (0, 0)
        let none = EventDetectorConfiguration(seconds, sampleRate: 32000, stepLength: 5120)
        #expect(none.medianFilterLength == 1)
        #expect(none.sustainedLength == 1)
    }

    // MARK: Helpers

    /// Slowly moving scores that cross the thresholds often, with jumps, NaN and silent stretches.
    func noise(steps: Int, _ labels: Int, _ random: inout SeededGenerator) -> (scores: [[Float]], silent: [Bool]) {
        var level = [Float](repeating: 0.5, count: labels)
        var scores = [[Float]]()
        var silent = [Bool]()
        for _ in 0..<steps {
            for label in 0..<labels {
                level[label] += .random(in: -0.25...0.25, using: &random)
                level[label] = min(max(level[label], 0), 1)
                if Int.random(in: 0..<12, using: &random) == 0 { level[label] = .random(in: 0...1, using: &random) }
            }
            scores.append(level.map { Int.random(in: 0..<50, using: &random) == 0 ? -.infinity : $0 })
            silent.append(Int.random(in: 0..<20, using: &random) == 0)
        }
        return (scores, silent)
    }

    /// Each event has one onset, then updates, then one offset, and times that agree.
    func checkOrder(_ transitions: [EventTransition]) {
        var open = [UInt64: EventTransition]()
        var seen: UInt64 = 0
        for transition in transitions {
            switch transition.kind {
            case .onset:
                #expect(transition.event == seen)
                seen += 1
                open[transition.event] = transition
            case .update, .offset:
                #expect(open[transition.event]?.onsetSample == transition.onsetSample)
                #expect(open[transition.event]?.label == transition.label)
                if transition.kind == .offset {
                    open[transition.event] = nil
                    #expect(transition.offsetSample! > transition.onsetSample)
                }
            }
        }
        #expect(open.isEmpty)
    }
}
