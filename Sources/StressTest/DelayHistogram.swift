/// Delays in steps of 0.1 ms up to 10 s, without keeping each.
struct DelayHistogram {
    private static let stepNanoseconds: Int64 = 100_000
    private var counts = [Int](repeating: 0, count: 100_001)
    private(set) var count = 0
    /// In milliseconds.
    private(set) var maximum = 0.0

    mutating func add(nanoseconds: Int64) {
        let bin = Int(max(0, nanoseconds) / DelayHistogram.stepNanoseconds)
        counts[min(bin, counts.count - 1)] += 1
        count += 1
        maximum = max(maximum, Double(nanoseconds) / 1e6)
    }

    /// The delay in milliseconds that this share of all, in 0...1, does not exceed; rounded up to 0.1 ms.
    func quantile(_ share: Double) -> Double {
        let wanted = (share * Double(count)).rounded(.up)
        var sum = 0
        for (bin, number) in counts.enumerated() {
            sum += number
            if Double(sum) >= wanted { return Double(bin + 1) / 10 }
        }
        return maximum
    }
}
