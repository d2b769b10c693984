import CSystemd

#if canImport(Glibc)
    import Glibc
#endif

/// Tells systemd how the daemon is (`sd_notify`). Does nothing where no service manager listens.
///
/// Usable from any thread; a call takes one datagram on a local socket and does not wait.
struct ServiceNotifier: Sendable {
    /// How often systemd wants to hear of progress at least, nil where it does not watch this process
    /// (`WatchdogSec=`). Calling ``progress()`` at half of it leaves room for a late one.
    let watchdogInterval: Duration?

    init() {
        var microseconds: UInt64 = 0
        let isWatched = sd_watchdog_enabled(0, &microseconds) > 0 && microseconds > 0
        watchdogInterval = isWatched ? .microseconds(Int64(clamping: microseconds)) : nil
    }

    /// Start-up is over: sources are open and the socket accepts. Also ends a reload.
    func ready(status: String? = nil) {
        send(["READY=1"] + line(status))
    }

    /// One line for `systemctl status`.
    func status(_ text: String) {
        send(line(text))
    }

    /// The watched work is going on. To be called from that work itself, so that a stuck stage is noticed.
    func progress() {
        send(["WATCHDOG=1"])
    }

    /// A reload has begun; ``ready(status:)`` ends it.
    func reloading(status: String? = nil) {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let microseconds = Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
        send(["RELOADING=1", "MONOTONIC_USEC=\(microseconds)"] + line(status))
    }

    /// Shutdown has begun.
    func stopping(status: String? = nil) {
        send(["STOPPING=1"] + line(status))
    }

    /// Asks for more time than the unit's start or stop timeout allows, from now on.
    func extendTimeout(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        send(["EXTEND_TIMEOUT_USEC=\(seconds * 1_000_000 + attoseconds / 1_000_000_000_000)"])
    }

    private func line(_ status: String?) -> [String] {
        // A newline would begin another assignment.
        status.map { ["STATUS=" + String($0.map { $0.isNewline ? " " : $0 })] } ?? []
    }

    private func send(_ assignments: [String]) {
        // Failure is of no consequence to the daemon: systemd notices silence by itself.
        _ = sd_notify(0, assignments.joined(separator: "\n"))
    }
}
