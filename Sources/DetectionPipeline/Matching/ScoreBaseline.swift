/// What each label usually scores here: a running mean that is taken off its scores.
///
/// A place has sounds of its own (a fan, a road) that are a little like some labels all the time. What is always there
/// is no news; the mean follows it within `seconds`, and more slowly while a score stands out, so that a lasting sound
/// is not soon taken for the place. Scores that are usually below the background's median stay as they are. The mean
/// begins at `start`: before a place has been heard, only what stands out very much is news.
package struct ScoreBaseline: Sendable {
    package struct Configuration: Sendable, Equatable {
        /// Time constant of the running mean, in seconds; infinite where it stays at its `start`.
        package var seconds: Float
        /// The same while a score stands out.
        package var elevatedSeconds: Float
        /// A score stands out that is so far above its mean, in the scores' unit.
        package var elevation: Float
        /// What a mean is before it has heard anything, in the scores' unit.
        package var start: Float

        package init(seconds: Float, elevatedSeconds: Float, elevation: Float, start: Float = 0) {
            self.seconds = seconds
            self.elevatedSeconds = elevatedSeconds
            self.elevation = elevation
            self.start = start
        }
    }

    private var means: [Float]
    private let rate: Float
    private let elevatedRate: Float
    private let elevation: Float

    /// - Parameter stepSeconds: Time between scores, in seconds.
    package init(_ configuration: Configuration, labelCount: Int, stepSeconds: Float) {
        precondition(configuration.seconds > 0 && configuration.elevatedSeconds > 0, "a time constant is not positive")
        means = [Float](repeating: configuration.start, count: labelCount)
        rate = min(stepSeconds / configuration.seconds, 1)
        elevatedRate = min(stepSeconds / configuration.elevatedSeconds, 1)
        elevation = configuration.elevation
    }

    /// The score above what is usual; the mean then learns of it. A score that is not finite is given back as it is.
    package mutating func subtracted(from score: Float, label: Int) -> Float {
        guard score.isFinite else { return score }
        let result = score - max(means[label], 0)
        means[label] += (result > elevation ? elevatedRate : rate) * (score - means[label])
        return result
    }

    /// Takes over the means of another baseline.
    ///
    /// - Parameter indices: For each label its index there, nil for one that is new.
    package mutating func keep(_ other: ScoreBaseline, indices: [Int?]) {
        for (label, index) in indices.enumerated() {
            if let index { means[label] = other.means[index] }
        }
    }
}
