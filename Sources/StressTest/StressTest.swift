import ArgumentParser
import Glibc

/// Long runs that measure what a service must stand: many subscribers, and days of audio. For developers; `make load`
/// and `make soak` call it, and the tests run it shortly.
@main
struct StressTest: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures earshot under load and over time; exit status 1 where a bound is broken.",
        subcommands: [Load.self, Subscribers.self, Soak.self])
}

/// Bounds, each held or broken; printed as they are checked.
struct Bounds {
    private(set) var areKept = true

    mutating func check(_ name: String, _ isKept: Bool, _ figure: String) {
        print("\(isKept ? "ok    " : "BROKEN") \(name): \(figure)")
        areKept = areKept && isKept
    }

    /// Ends the program with status 1 where one was broken.
    func finish() throws {
        if !areKept { throw ExitCode(1) }
    }
}

/// A run that could not be done.
struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A time that all processes of this machine share, in nanoseconds.
func monotonicNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

extension Double {
    /// With so many digits after the point.
    func text(_ places: Int) -> String {
        var buffer = [CChar](repeating: 0, count: 64)
        withVaList([Int32(places), self]) { _ = vsnprintf(&buffer, buffer.count, "%.*f", $0) }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
