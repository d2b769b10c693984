/// Mean of the last `windowSteps` step embeddings: the pooled window that one embedding stands for.
///
/// Before that many steps have arrived, the mean of those that have. The sum is taken afresh for every window, so that
/// nothing drifts over months.
struct WindowPooler {
    let windowSteps: Int
    let size: Int
    private var ring: [Float]
    private var count = 0
    private(set) var pooled: [Float]

    /// - Parameters:
    ///   - windowSteps: ≥ 1.
    ///   - size: Values per step embedding.
    init(windowSteps: Int, size: Int) {
        precondition(windowSteps >= 1)
        self.windowSteps = windowSteps
        self.size = size
        ring = [Float](repeating: 0, count: windowSteps * size)
        pooled = [Float](repeating: 0, count: size)
    }

    /// Takes one step embedding, [size], and renews ``pooled``.
    mutating func push(_ step: UnsafePointer<Float>) {
        let slot = count % windowSteps
        for index in 0..<size { ring[slot * size + index] = step[index] }
        count += 1
        let filled = min(count, windowSteps)
        let scale = 1 / Float(filled)
        ring.withUnsafeBufferPointer { ring in
            pooled.withUnsafeMutableBufferPointer { pooled in
                for index in 0..<size { pooled[index] = ring[index] }
                for row in 1..<max(filled, 1) {
                    for index in 0..<size { pooled[index] += ring[row * size + index] }
                }
                for index in 0..<size { pooled[index] *= scale }
            }
        }
    }

    mutating func reset() {
        count = 0
    }
}
