import Synchronization

/// How long the steps of one source took: a histogram with fixed buckets.
///
/// One thread records, without lock or allocation; any thread reads.
package final class StepTimes: Sendable {
    /// Upper bounds of the buckets in seconds, ascending; a last bucket without a bound holds the rest.
    package static let bounds = [
        0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024,
    ]
    private static let boundNanoseconds = bounds.map { Int64($0 * 1e9) }

    /// The state at one moment.
    package struct Snapshot: Sendable, Equatable {
        /// Steps per bucket, one more than there are bounds.
        package var counts: [Int]
        /// Of all steps, in seconds.
        package var sum: Double

        package var count: Int { counts.reduce(0, +) }
        /// In seconds; 0 before the first step.
        package var mean: Double { count == 0 ? 0 : sum / Double(count) }

        /// The bound of the bucket that a share of the steps stays within, in seconds; nil before the first step, and
        /// infinite where that is the last bucket.
        ///
        /// - Parameter share: In 0...1.
        package func bound(ofShare share: Double) -> Double? {
            guard count > 0 else { return nil }
            let wanted = (share * Double(count)).rounded(.up)
            var seen = 0
            for (index, bucket) in counts.enumerated() {
                seen += bucket
                if Double(seen) >= wanted { return index < bounds.count ? bounds[index] : .infinity }
            }
            return .infinity
        }
    }

    /// An atomic number cannot be an element of an array; a reference to one can.
    private final class Counter: Sendable {
        let value = Atomic(0)
    }

    private let buckets = (0...bounds.count).map { _ in Counter() }
    private let nanoseconds = Atomic(Int64(0))

    package init() {}

    /// - Parameters:
    ///   - nanoseconds: For all of the steps together, at least 0; each counts as an equal part of it.
    ///   - steps: At least 1.
    package func record(nanoseconds total: Int64, steps: Int) {
        precondition(total >= 0 && steps > 0, "no time, or no step")
        let each = total / Int64(steps)
        var index = 0
        while index < Self.boundNanoseconds.count, each > Self.boundNanoseconds[index] { index += 1 }
        buckets[index].value.wrappingAdd(steps, ordering: .relaxed)
        nanoseconds.wrappingAdd(total, ordering: .relaxed)
    }

    package var snapshot: Snapshot {
        Snapshot(
            counts: buckets.map { $0.value.load(ordering: .relaxed) },
            sum: Double(nanoseconds.load(ordering: .relaxed)) * 1e-9)
    }
}
