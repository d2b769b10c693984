import AudioEmbedding
package import EventDetection
import Foundation
package import Labels
package import OptimalTransport

/// How scores become events: the model's calibrated constants, and what a user set instead.
package struct DetectionSettings: Sendable, Equatable {
    /// Steps that one window pools.
    package var windowSteps: Int
    package var transport: OnlineTransportConfiguration
    /// How the scores' usual level in a stream is followed.
    package var baseline: ScoreBaseline.Configuration
    /// The label marginal b from a source's context, [labelCount]; nil for uniform.
    package var labelWeights: [Float]?
    /// Share at which an event begins, in (0, 1].
    package var onThreshold: Float
    /// Share below which it ends; ≤ `onThreshold`.
    package var offThreshold: Float
    /// Seconds; rounded to an odd number of steps.
    package var medianFilterLength: Double
    /// Seconds over which a label's mean share may begin an event, too.
    package var sustainedLength = 0.0
    /// That mean must reach the on-threshold to this power, ≥ 1: half of it or less for usual thresholds, all of it for 1. At 1
    /// a single share must reach the threshold.
    package var sustainedExponent: Float = 1
    /// Seconds that a sound must last to become an event.
    package var minimumEventLength: Double
    /// Seconds that an onset may lie before the moment that makes it sure.
    package var maximumOnsetLead: Double
    /// Seconds: activity less than this apart is one event.
    package var minimumEventGap: Double
    /// Seconds after an event in which its label starts no other.
    package var cooldown: Double
    /// Seconds between updates of an open event; nil for none.
    package var updateInterval: Double?
    /// dBFS: a step below it is silent.
    package var silenceLevel: Float

    /// The constants of a model's `config.json`, sections `window`, `transport` and `detection`.
    ///
    /// - Throws: `ModelError` that names a constant which is missing or out of range.
    package init(_ model: DetectionModel) throws {
        func transport(_ name: String, _ range: ClosedRange<Double>) throws -> Float {
            Float(try model.directory.constant("transport", name, in: range))
        }
        func detection(_ name: String, _ range: ClosedRange<Double>) throws -> Double {
            try model.directory.constant("detection", name, in: range)
        }
        windowSteps = model.configuration.window.steps
        var online = OnlineTransportConfiguration()
        online.regularization = try transport("regularization", 1e-3...1e3)
        online.nothingPrice = try transport("price", -1e3...1e3)
        online.labelRelaxation = try transport("label_relaxation", 0...1e6)
        online.matchedShare = try transport("matched_share", 0.001...0.999)
        online.bankShare = try transport("bank_share", 0...0.999)
        self.transport = online
        baseline = ScoreBaseline.Configuration(
            seconds: Float(try detection("baseline_seconds", 0.1...1e9)),
            elevatedSeconds: Float(try detection("elevated_baseline_seconds", 0.1...1e9)),
            elevation: Float(try detection("baseline_elevation", 0...1e9)))
        if model.configuration.detection["baseline_start"] != nil {
            baseline.start = Float(try detection("baseline_start", 0...1e9))
        }
        onThreshold = Float(try detection("on_threshold", 0...1))
        offThreshold = Float(try detection("off_threshold", 0...Double(onThreshold)))
        medianFilterLength = try detection("median_filter_length", 0...10)
        if model.configuration.detection["sustained_length"] != nil {
            sustainedLength = try detection("sustained_length", 0...60)
            sustainedExponent = Float(try detection("sustained_exponent", 1...10))
        }
        minimumEventLength = try detection("minimum_event_length", 0...60)
        maximumOnsetLead = try detection("maximum_onset_lead", 0...60)
        minimumEventGap = try detection("minimum_event_gap", 0...60)
        cooldown = try detection("cooldown", 0...86_400)
        silenceLevel = Float(try detection("silence_level", -200...0))
    }

    /// Moves the on-threshold, and the off-threshold so that their ratio stays.
    package mutating func setThreshold(_ threshold: Float) {
        offThreshold *= threshold / onThreshold
        onThreshold = threshold
    }

    /// The event detector's configuration for a label set: each label's own settings, else these.
    package func eventDetector(for labels: [LabelEntry], model: DetectionModel) -> EventDetectorConfiguration {
        let offRatio = offThreshold / onThreshold
        var seconds = EventDetectorConfiguration.InSeconds(
            labels: labels.map { label in
                let on = label.threshold ?? onThreshold
                return .init(
                    onThreshold: on, offThreshold: on * offRatio, sustainedThreshold: pow(on, sustainedExponent),
                    minimumEventLength: label.minimumLength, cooldown: label.cooldown)
            })
        seconds.medianFilterLength = medianFilterLength
        seconds.sustainedLength = sustainedLength
        seconds.maximumOnsetLead = maximumOnsetLead
        seconds.minimumEventGap = minimumEventGap
        seconds.minimumEventLength = minimumEventLength
        seconds.cooldown = cooldown
        seconds.updateInterval = updateInterval
        return EventDetectorConfiguration(
            seconds, sampleRate: Double(model.sampleRate), stepLength: Int64(model.stepLength))
    }
}
