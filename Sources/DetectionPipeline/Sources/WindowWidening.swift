/// How many windows are passed over while inference is slower than real time: rather coarse scores than lost audio.
struct WindowWidening {
    static let maximumStride = 8

    /// Every so many windows one is matched.
    private(set) var stride = 1
    private let high: Double
    private let low: Double
    private var lastBacklog = 0.0
    private var secondsUntilLook = Self.interval
    private var calmLooks = 0

    /// Seconds of audio between looks at the backlog.
    private static let interval = 1.0
    /// Looks without a backlog after which the stride is halved.
    private static let calmLimit = 10

    /// - Parameter ringLength: Seconds of audio that may wait before some is lost.
    init(ringLength: Double) {
        high = ringLength / 4
        low = ringLength / 16
    }

    /// Takes note of the backlog; doubles the stride while it is large and grows, and halves it when it has been small
    /// for some time.
    ///
    /// - Parameters:
    ///   - backlog: Seconds of audio that wait.
    ///   - seconds: Audio worked on since the last call.
    /// - Returns: Whether the stride has changed.
    mutating func observe(backlog: Double, seconds: Double) -> Bool {
        secondsUntilLook -= seconds
        guard secondsUntilLook <= 0 else { return false }
        secondsUntilLook = Self.interval
        let grows = backlog >= lastBacklog
        lastBacklog = backlog
        calmLooks = backlog < low ? calmLooks + 1 : 0
        if backlog > high, grows, stride < Self.maximumStride {
            stride *= 2
            return true
        }
        if calmLooks >= Self.calmLimit, stride > 1 {
            calmLooks = 0
            stride /= 2
            return true
        }
        return false
    }
}
