/// Post-processing of scores into events, in the units of the sample clock (words of the DCASE tools).
package struct EventDetectorConfiguration: Equatable, Sendable {
    /// What may differ from label to label.
    package struct Label: Equatable, Sendable {
        /// A run counts when its score reaches at least this.
        package var onThreshold: Float
        /// A run reaches back and on as far as the score is at least this; ≤ `onThreshold`.
        package var offThreshold: Float
        /// A run counts, too, when its mean over the last `sustainedLength` steps reaches at least this; nil: it does not.
        package var sustainedThreshold: Float?
        /// Samples that a run must last before it counts; ≥ 0.
        package var minimumEventLength: Int64
        /// Samples after an event's offset in which the label does not start another; ≥ 0.
        package var cooldown: Int64

        package init(
            onThreshold: Float, offThreshold: Float, sustainedThreshold: Float? = nil, minimumEventLength: Int64 = 0,
            cooldown: Int64 = 0
        ) {
            self.onThreshold = onThreshold
            self.offThreshold = offThreshold
            self.sustainedThreshold = sustainedThreshold
            self.minimumEventLength = minimumEventLength
            self.cooldown = cooldown
        }
    }

    /// Samples per step, > 0.
    package var stepLength: Int64
    /// Steps in the median filter: odd, 1 for none. It delays decisions by half of it, not the times in them.
    package var medianFilterLength = 1
    /// Steps over which a run's mean is taken, > 0.
    package var sustainedLength = 1
    /// The most samples that a run reaches back from the step that makes it count; ≥ 0.
    package var maximumOnsetLead: Int64 = 0
    /// Runs of a label less than this many samples apart are one event; 0 closes no gap.
    package var minimumEventGap: Int64 = 0
    /// Samples between updates of an open event, or none.
    package var updateInterval: Int64?
    package var labels: [Label]

    package init(stepLength: Int64, labels: [Label]) {
        self.stepLength = stepLength
        self.labels = labels
    }

    /// Decisions lag behind the newest step by this many steps.
    package var delayInSteps: Int { medianFilterLength / 2 }
}

extension EventDetectorConfiguration {
    /// The same in seconds, as users write it.
    package struct InSeconds: Equatable, Sendable {
        package struct Label: Equatable, Sendable {
            package var onThreshold: Float
            package var offThreshold: Float
            package var sustainedThreshold: Float?
            package var minimumEventLength: Double?
            package var cooldown: Double?

            package init(
                onThreshold: Float, offThreshold: Float, sustainedThreshold: Float? = nil,
                minimumEventLength: Double? = nil, cooldown: Double? = nil
            ) {
                self.onThreshold = onThreshold
                self.offThreshold = offThreshold
                self.sustainedThreshold = sustainedThreshold
                self.minimumEventLength = minimumEventLength
                self.cooldown = cooldown
            }
        }

        /// Rounded to an odd number of steps.
        package var medianFilterLength = 0.0
        /// Rounded to steps, at least one.
        package var sustainedLength = 0.0
        package var maximumOnsetLead = 0.0
        package var minimumEventGap = 0.0
        package var updateInterval: Double?
        /// Where a label says nothing.
        package var minimumEventLength = 0.0
        package var cooldown = 0.0
        package var labels: [Label]

        package init(labels: [Label]) {
            self.labels = labels
        }
    }

    /// - Parameters:
    ///   - seconds: finite and ≥ 0; lengths are rounded to samples.
    ///   - sampleRate: Hz of the sample clock.
    ///   - stepLength: samples per step.
    package init(_ seconds: InSeconds, sampleRate: Double, stepLength: Int64) {
        precondition(sampleRate > 0 && stepLength > 0, "sampleRate and stepLength must be positive")
        func samples(_ value: Double) -> Int64 {
            precondition(value >= 0 && value < 1e9, "\(value) seconds is not a length")
            return Int64((value * sampleRate).rounded())
        }
        self.init(
            stepLength: stepLength,
            labels: seconds.labels.map { label in
                Label(
                    onThreshold: label.onThreshold,
                    offThreshold: label.offThreshold, sustainedThreshold: label.sustainedThreshold,
                    minimumEventLength: samples(label.minimumEventLength ?? seconds.minimumEventLength),
                    cooldown: samples(label.cooldown ?? seconds.cooldown))
            })
        // The nearest odd number: 2 * floor(steps / 2) + 1.
        medianFilterLength = Int(samples(seconds.medianFilterLength) / (2 * stepLength)) * 2 + 1
        sustainedLength = max(1, Int((Double(samples(seconds.sustainedLength)) / Double(stepLength)).rounded()))
        maximumOnsetLead = samples(seconds.maximumOnsetLead)
        minimumEventGap = samples(seconds.minimumEventGap)
        updateInterval = seconds.updateInterval.map(samples)
    }
}
