@testable import EventDetection

/// Events of a whole score matrix at once, one plain pass after the other; what the streaming detector must equal.
enum Reference {
    struct Event: Equatable, Hashable, CustomStringConvertible {
        let label: Int
        let onset: Int64
        let offset: Int64
        let peak: Float
        var description: String { "\(label): \(onset)..<\(offset) \(peak)" }
    }

    /// - Parameter scores: [step][label].
    static func events(
        _ configuration: EventDetectorConfiguration, scores: [[Float]], silent: [Bool], start: Int64 = 0
    ) -> [Event] {
        var events = [Event]()
        for (label, settings) in configuration.labels.enumerated() {
            let column = scores.indices.map { silent[$0] ? -.infinity : scores[$0][label] }
            var filtered = median(column, configuration.medianFilterLength)
            for step in filtered.indices where silent[step] { filtered[step] = -.infinity }

            var runs = [Event]()
            var first: Int?
            for step in 0...filtered.count {
                let score = step < filtered.count ? filtered[step] : -.infinity
                if let begin = first, score < settings.offThreshold {
                    let sustained = mean(Array(filtered[begin..<step]), configuration.sustainedLength)
                    let isSure = { (step: Int) in
                        filtered[step] >= settings.onThreshold
                            || settings.sustainedThreshold.map { sustained[step - begin] >= Double($0) } == true
                    }
                    if let sure = (begin..<step).first(where: isSure) {
                        let onset = max(
                            Int64(begin) * configuration.stepLength,
                            Int64(sure) * configuration.stepLength - configuration.maximumOnsetLead)
                        runs.append(
                            Event(
                                label: label, onset: start + onset,
                                offset: start + Int64(step) * configuration.stepLength,
                                peak: filtered[begin..<step].max()!))
                    }
                    first = nil
                } else if first == nil, score >= settings.offThreshold {
                    first = step
                }
            }
            var found = [Event]()
            for run in runs where run.offset - run.onset >= settings.minimumEventLength {
                if let last = found.last, run.onset - last.offset < configuration.minimumEventGap {
                    found[found.count - 1] = Event(
                        label: label, onset: last.onset, offset: run.offset, peak: max(last.peak, run.peak))
                } else if found.last.map({ run.offset >= $0.offset + settings.cooldown }) ?? true {
                    found.append(run)
                }
            }
            events += found
        }
        return events
    }

    /// Over the last `length` values, 0 before the first.
    static func mean(_ values: [Float], _ length: Int) -> [Double] {
        values.indices.map { values[max(0, $0 - length + 1)...$0].reduce(0.0) { $0 + Double($1) } / Double(length) }
    }

    static func median(_ values: [Float], _ length: Int) -> [Float] {
        let padding = [Float](repeating: -.infinity, count: length / 2)
        let padded = padding + values + padding
        return values.indices.map { padded[$0..<$0 + length].sorted()[length / 2] }
    }
}

/// Runs a detector and collects what it emits.
struct Recorder {
    var detector: EventDetector
    var transitions: [EventTransition] = []
    /// Step at which each transition came.
    var times: [Int64] = []
    var next: Int64

    init(_ configuration: EventDetectorConfiguration, start: Int64 = 0) {
        detector = EventDetector(configuration)
        next = start
    }

    mutating func step(_ scores: [Float], isSilent: Bool = false, level: Float = -.infinity) {
        let end = next + detector.configuration.stepLength
        scores.withUnsafeBufferPointer {
            detector.process(stepStart: next, scores: $0, isSilent: isSilent, level: level) {
                transitions.append($0)
                times.append(end)
            }
        }
        next = end
    }

    mutating func finish() {
        detector.finish { transitions.append($0) }
    }

    mutating func gap() {
        detector.gap { transitions.append($0) }
    }

    /// Closed events, by label and onset.
    var events: [Reference.Event] {
        transitions.filter { $0.kind == .offset }
            .map {
                Reference.Event(label: $0.label, onset: $0.onsetSample, offset: $0.offsetSample!, peak: $0.peakScore)
            }
            .sorted { ($0.label, $0.onset) < ($1.label, $1.onset) }
    }
}

struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
