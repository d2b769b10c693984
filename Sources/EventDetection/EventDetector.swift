/// Scores per step and label → events.
///
/// For each label on its own, equal to these passes over the whole score matrix:
/// 1. median filter over `medianFilterLength` steps around each step, -∞ outside of the stream; silent steps are -∞;
/// 2. hysteresis: a run is a stretch of score ≥ `offThreshold` that becomes sure: it reaches `onThreshold`, or the mean
///    over the last `sustainedLength` steps, those before the run counting as 0, reaches `sustainedThreshold` (a sound
///    that goes on needs less than a short one). It begins at most `maximumOnsetLead` before the step that makes it
///    sure: a sound builds up in the scores before;
/// 3. runs shorter than `minimumEventLength` are dropped;
/// 4. runs less than `minimumEventGap` apart are joined (the order of `dcase_util`: short runs first, so that two
///    clicks do not make an event);
/// 5. a run that would begin another event is dropped if it is over before `cooldown` has passed since the last
///    event's offset; one that lasts longer becomes an event at that moment, with its own true onset.
///
/// `onset` is emitted at the step that makes it sure, `offset` at the step at which no later run can be joined. Neither
/// the median's delay nor the minimum length appears in the times. No step allocates.
package struct EventDetector: Sendable {
    package let configuration: EventDetectorConfiguration
    private let labelCount: Int
    private var states: [State]
    /// The last `medianFilterLength` steps: [medianFilterLength x labelCount], a ring.
    private var scores: [Float]
    private var levels: [Float]
    private var silent: [Bool]
    private var sorted: [Float]
    /// The last `sustainedLength` scores of each label's run: [sustainedLength x labelCount], rings.
    private var runScores: [Float]
    /// Steps of the ring that hold something since the start or the last gap, counting the padding at the end.
    private var stepCount = 0
    /// First sample of the step that should come next.
    private var nextStart: Int64?
    /// The id that the next event gets.
    package private(set) var nextEvent: UInt64

    private struct State {
        // The run of hysteresis: above the off threshold, is sure, has lasted long enough.
        var isActive = false
        var isConfirmed = false
        var isCounted = false
        var runSteps = 0
        var runStart: Int64 = 0
        var runPeak: Float = 0
        var runLevel: Float = 0
        // The open event.
        var isOpen = false
        var event: UInt64 = 0
        var onset: Int64 = 0
        var end: Int64 = 0
        var score: Float = 0
        var peak: Float = 0
        var level: Float = 0
        var lastReport: Int64 = 0
        // After it.
        var cooldownEnd = Int64.min
    }

    /// - Parameter nextEvent: id of the first event; a detector that replaces another (new labels) goes on with its ids.
    package init(_ configuration: EventDetectorConfiguration, nextEvent: UInt64 = 0) {
        self.nextEvent = nextEvent
        precondition(configuration.stepLength > 0, "stepLength is not positive")
        precondition(
            configuration.medianFilterLength > 0 && configuration.medianFilterLength % 2 == 1,
            "medianFilterLength \(configuration.medianFilterLength) is not odd")
        precondition(configuration.sustainedLength > 0, "sustainedLength is not positive")
        precondition(configuration.minimumEventGap >= 0, "minimumEventGap is negative")
        precondition(configuration.updateInterval.map { $0 > 0 } ?? true, "updateInterval is not positive")
        for (index, label) in configuration.labels.enumerated() {
            precondition(
                label.onThreshold.isFinite && label.offThreshold.isFinite && label.offThreshold <= label.onThreshold,
                "label \(index): off threshold \(label.offThreshold) is above on threshold \(label.onThreshold)")
            precondition(label.minimumEventLength >= 0 && label.cooldown >= 0, "label \(index): a length is negative")
        }
        self.configuration = configuration
        labelCount = configuration.labels.count
        let length = configuration.medianFilterLength
        states = [State](repeating: State(), count: labelCount)
        scores = [Float](repeating: -.infinity, count: length * labelCount)
        levels = [Float](repeating: -.infinity, count: length)
        silent = [Bool](repeating: false, count: length)
        sorted = [Float](repeating: 0, count: length)
        runScores = [Float](repeating: 0, count: configuration.sustainedLength * labelCount)
    }

    /// Goes on with the cooldowns of a detector of the same stream that this one replaces.
    ///
    /// - Parameter indices: For each label its index there, nil for one that is new.
    package mutating func keepCooldowns(of other: EventDetector, indices: [Int?]) {
        precondition(indices.count == labelCount, "\(indices.count) indices for \(labelCount) labels")
        for (label, index) in indices.enumerated() {
            if let index { states[label].cooldownEnd = other.states[index].cooldownEnd }
        }
    }

    /// Takes one step. A step that does not follow the one before (audio was lost) is preceded by ``gap(emit:)``.
    ///
    /// - Parameters:
    ///   - stepStart: first sample of the step.
    ///   - scores: [labelCount]; NaN counts as -∞.
    ///   - isSilent: nothing is heard in this step, whatever its scores; see ``ActivityGate``.
    ///   - level: dBFS of this step.
    ///   - emit: called for each transition, in the order of labels.
    package mutating func process(
        stepStart: Int64, scores newest: UnsafeBufferPointer<Float>, isSilent: Bool = false, level: Float = -.infinity,
        emit: (EventTransition) -> Void
    ) {
        precondition(newest.count == labelCount, "\(newest.count) scores for \(labelCount) labels")
        if let nextStart, nextStart != stepStart { gap(emit: emit) }
        nextStart = stepStart + configuration.stepLength
        let slot = stepCount % configuration.medianFilterLength
        for label in 0..<labelCount {
            let score = newest[label]
            scores[slot * labelCount + label] = isSilent || score.isNaN ? -.infinity : score
        }
        levels[slot] = level
        silent[slot] = isSilent
        stepCount += 1
        if stepCount > configuration.delayInSteps {
            decide(start: stepStart - Int64(configuration.delayInSteps) * configuration.stepLength, emit: emit)
        }
    }

    /// Audio was lost after the last step: what is open ends with that step, and nothing is joined across the loss.
    /// Cooldowns go on.
    package mutating func gap(emit: (EventTransition) -> Void) {
        flush(emit: emit)
        for label in 0..<labelCount {
            if states[label].isOpen { close(label, emit: emit) }
            states[label].isActive = false
        }
        for index in scores.indices { scores[index] = -.infinity }
        stepCount = 0
        nextStart = nil
    }

    /// The end of the stream: decides the steps that the median filter still holds and closes open events.
    package mutating func finish(emit: (EventTransition) -> Void) {
        gap(emit: emit)
    }

    /// Decides the last `delayInSteps` steps, with -∞ after them.
    private mutating func flush(emit: (EventTransition) -> Void) {
        guard let nextStart else { return }
        let (delay, length) = (configuration.delayInSteps, configuration.medianFilterLength)
        for step in 0..<delay {
            let slot = stepCount % length
            for label in 0..<labelCount { scores[slot * labelCount + label] = -.infinity }
            levels[slot] = -.infinity
            silent[slot] = true
            stepCount += 1
            // A stream shorter than the delay has no step there yet.
            guard stepCount > delay else { continue }
            decide(start: nextStart + Int64(step - delay) * configuration.stepLength, emit: emit)
        }
    }

    /// Runs the state machines over the step in the middle of the filter.
    private mutating func decide(start: Int64, emit: (EventTransition) -> Void) {
        let length = configuration.medianFilterLength
        let slot = (stepCount - 1 - configuration.delayInSteps) % length
        for label in 0..<labelCount {
            let score = silent[slot] ? -.infinity : median(label)
            advance(label, score: score, level: levels[slot], start: start, emit: emit)
        }
    }

    private mutating func median(_ label: Int) -> Float {
        let length = configuration.medianFilterLength
        if length == 1 { return scores[label] }
        for index in 0..<length {
            let score = scores[index * labelCount + label]
            var position = index
            while position > 0, sorted[position - 1] > score {
                sorted[position] = sorted[position - 1]
                position -= 1
            }
            sorted[position] = score
        }
        return sorted[length / 2]
    }

    /// Takes in the next score of a run that is not sure yet.
    ///
    /// - Returns: whether it makes the run sure.
    private mutating func isSure(_ label: Int, score: Float) -> Bool {
        if score >= configuration.labels[label].onThreshold { return true }
        guard let threshold = configuration.labels[label].sustainedThreshold else { return false }
        let length = configuration.sustainedLength
        runScores[states[label].runSteps % length * labelCount + label] = score
        states[label].runSteps += 1
        var sum: Float = 0
        for step in 0..<min(states[label].runSteps, length) { sum += runScores[step * labelCount + label] }
        return sum >= threshold * Float(length)
    }

    private mutating func advance(
        _ label: Int, score: Float, level: Float, start: Int64, emit: (EventTransition) -> Void
    ) {
        let settings = configuration.labels[label]
        let end = start + configuration.stepLength
        guard score >= settings.offThreshold else {
            states[label].isActive = false
            closeUnlessJoined(label, byRunFrom: end, emit: emit)
            return
        }
        if !states[label].isActive {
            states[label].isActive = true
            states[label].isConfirmed = false
            states[label].isCounted = false
            states[label].runSteps = 0
            states[label].runStart = start
            states[label].runPeak = score
            states[label].runLevel = level
        }
        if !states[label].isConfirmed {
            // The earliest that this run can still be said to begin.
            states[label].runStart = max(states[label].runStart, start - configuration.maximumOnsetLead)
            states[label].isConfirmed = isSure(label, score: score)
            closeUnlessJoined(label, byRunFrom: states[label].runStart, emit: emit)
        }
        states[label].runPeak = max(states[label].runPeak, score)
        states[label].runLevel = max(states[label].runLevel, level)
        guard states[label].isConfirmed else { return }
        if !states[label].isCounted {
            guard end - states[label].runStart >= settings.minimumEventLength else { return }
            // An open event has waited for this run only if it began within the gap.
            if !states[label].isOpen {
                guard end >= states[label].cooldownEnd else { return }
                states[label].isCounted = true
                open(label, score: score, end: end, emit: emit)
                return
            }
            states[label].isCounted = true
        }
        states[label].end = end
        states[label].score = score
        states[label].peak = max(states[label].peak, states[label].runPeak)
        states[label].level = max(states[label].level, states[label].runLevel)
        if let interval = configuration.updateInterval, end - states[label].lastReport >= interval {
            states[label].lastReport = end
            emit(transition(.update, label))
        }
    }

    private mutating func open(_ label: Int, score: Float, end: Int64, emit: (EventTransition) -> Void) {
        states[label].isOpen = true
        states[label].event = nextEvent
        nextEvent += 1
        states[label].onset = states[label].runStart
        states[label].end = end
        states[label].score = score
        states[label].peak = states[label].runPeak
        states[label].level = states[label].runLevel
        states[label].lastReport = end
        emit(transition(.onset, label))
    }

    /// Ends the open event once no run can be joined to it that does not begin before `start`.
    private mutating func closeUnlessJoined(
        _ label: Int, byRunFrom start: Int64, emit: (EventTransition) -> Void
    ) {
        if states[label].isOpen, start - states[label].end >= configuration.minimumEventGap {
            close(label, emit: emit)
        }
    }

    private mutating func close(_ label: Int, emit: (EventTransition) -> Void) {
        states[label].isOpen = false
        states[label].cooldownEnd = states[label].end + configuration.labels[label].cooldown
        emit(transition(.offset, label))
    }

    private func transition(_ kind: EventTransition.Kind, _ label: Int) -> EventTransition {
        let state = states[label]
        return EventTransition(
            kind: kind, label: label, event: state.event, onsetSample: state.onset,
            offsetSample: kind == .offset ? state.end : nil, score: state.score, peakScore: state.peak,
            peakLevel: state.level)
    }
}
