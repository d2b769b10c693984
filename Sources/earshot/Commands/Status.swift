import ArgumentParser
import EventClient
import Foundation

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows the daemon's state: sources, backlog, losses, clients.",
        discussion: """
            With --check it prints one line per reason why the daemon is not healthy and exits with 1, or one line that \
            begins with OK and exits with 0: for cron, Nagios and the like.
            """)

    @OptionGroup var socket: SocketOptions

    @Flag(help: "Print the daemon's reply as one line of JSON.")
    var json = false

    @Flag(help: "Exit with 1 if the daemon is not healthy, and say why.")
    var check = false

    @Option(help: ArgumentHelp("With --check: audio that may wait for inference.", valueName: "seconds"))
    var maxBacklog = DaemonStatus.Limits().backlog

    @Option(help: ArgumentHelp("With --check: how long ago lost audio still counts.", valueName: "seconds"))
    var window = DaemonStatus.Limits().window

    @Option(help: ArgumentHelp("How long to wait for the daemon's answer.", valueName: "seconds"))
    var timeout = 5.0

    func validate() throws {
        for (name, value) in [("--max-backlog", maxBacklog), ("--window", window), ("--timeout", timeout)] {
            guard value.isFinite, value >= 0, value <= 1e9 else {
                throw ValidationError("\(name) must be a number of seconds, not \(value)")
            }
        }
        if check, json { throw ValidationError("--check and --json exclude each other") }
    }

    func run() async throws {
        let reply: Data
        do {
            reply = try await EventClient.request("status", socketPath: socket.path, timeout: .seconds(timeout))
        } catch let error as EventClient.ConnectionError where check {
            print(error)
            throw ExitCode(1)
        }
        if json { return printLine(reply) }
        guard let status = try? DaemonStatus(json: reply) else {
            complain("\(socket.path): the daemon's answer is not understood; is it of another version?")
            throw ExitCode(1)
        }
        guard check else {
            for line in status.summary { printLine(Data(line.utf8)) }
            return
        }
        var limits = DaemonStatus.Limits()
        (limits.backlog, limits.window) = (maxBacklog, window)
        let problems = status.problems(limits)
        guard problems.isEmpty else {
            for problem in problems { printLine(Data(problem.utf8)) }
            throw ExitCode(1)
        }
        let events = status.sources.reduce(0) { $0 + ($1.events ?? 0) }
        print("OK: \(status.sources.count) sources up, \(events) events, \(status.server?.clients ?? 0) clients")
    }
}
