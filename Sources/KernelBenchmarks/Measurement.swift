#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// CPU time of the calling thread: what a stage costs, whatever else the machine does meanwhile.
struct ThreadClock {
    func measure(_ body: () -> Void) -> Duration {
        let begin = now()
        body()
        return now() - begin
    }

    private func now() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}

/// Median CPU time of one call, over repeats that each last about ten milliseconds.
func medianTime(repeats: Int = 15, _ body: () -> Void) -> Duration {
    let clock = ThreadClock()
    body()
    var calls = 1
    while true {
        let time = clock.measure { for _ in 0..<calls { body() } }
        if time >= .milliseconds(10) || calls >= 1 << 20 { break }
        calls *= 2
    }
    let times = (0..<repeats).map { _ in clock.measure { for _ in 0..<calls { body() } } }
    return times.sorted()[repeats / 2] / calls
}

extension Duration {
    var microseconds: Double {
        Double(components.seconds) * 1e6 + Double(components.attoseconds) * 1e-12
    }
}

/// One line of the table: a kernel against its naive form.
func report(_ name: String, fast: Duration, naive: Duration? = nil, operations: Double? = nil) {
    var line = padded(name, 44) + padded(rounded(fast.microseconds) + " µs", 14)
    if let operations {
        line += padded(rounded(operations / fast.microseconds / 1e3) + " GFLOP/s", 16)
    } else {
        line += padded("", 16)
    }
    if let naive {
        line += padded("naive " + rounded(naive.microseconds) + " µs", 20)
        line += rounded(naive.microseconds / fast.microseconds) + " x"
    }
    print(line)
}

/// One line for a stage: cost for a second of audio.
func reportStage(_ name: String, perAudioSecond time: Duration, naive: Duration? = nil) {
    var line = padded(name, 44) + padded(rounded(time.microseconds / 1000) + " ms/s", 14)
    line += padded("real-time x " + rounded(1e6 / time.microseconds), 22)
    if let naive { line += "naive " + rounded(naive.microseconds / time.microseconds) + " x" }
    print(line)
}

private func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(1, width - text.count))
}

/// Three significant digits or so.
func rounded(_ value: Double) -> String {
    let digits = value < 10 ? 1000.0 : value < 100 ? 100.0 : 10.0
    let text = String((value * digits).rounded() / digits)
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}
