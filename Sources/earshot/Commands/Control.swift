import ArgumentParser
import DetectionPipeline
import EventClient
import Foundation

/// What changes the running daemon, through its control socket.
struct Control: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Changes the running daemon: reload, thresholds, mutes. For root and the daemon's user.",
        subcommands: [Reload.self, Threshold.self, Mute.self, Unmute.self])

    struct Options: ParsableArguments {
        @Option(
            help: ArgumentHelp(
                "The daemon's control socket.", discussion: "Default: /run/earshot/control.sock.", valueName: "path"))
        var socket: String?

        /// Sends a request and returns the members of its result.
        func perform(_ method: String, _ parameters: [String: Any] = [:]) async throws -> [String: Any] {
            let json = try JSONSerialization.data(withJSONObject: parameters)
            // A reload embeds new labels; thousands take a while.
            let reply = try await EventClient.request(
                method, String(decoding: json, as: UTF8.self), socketPath: socket ?? ResourceLocations.controlSocket,
                timeout: .seconds(300))
            return try JSONSerialization.jsonObject(with: reply) as? [String: Any] ?? [:]
        }
    }

    struct Reload: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Reads configuration and label files again; fails where something is wrong in them.")

        @OptionGroup var options: Options

        func run() async throws {
            let result = try await options.perform("reload")
            print("reloaded: \(result["summary"] ?? "")")
        }
    }

    struct Threshold: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Sets the score at which events of a label begin, until the next reload or restart.")

        @OptionGroup var options: Options

        @Argument(help: "A label of the daemon's.")
        var label: String

        @Argument(help: "From 0 to 1.")
        var on: Double

        func validate() throws {
            guard (0...1).contains(on) else { throw ValidationError("the threshold must be from 0 to 1, not \(on)") }
        }

        func run() async throws {
            _ = try await options.perform("set_threshold", ["label": label, "on": on])
            print("\(label): threshold \(on) until the next reload or restart")
        }
    }

    struct Mute: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Publishes no events of some labels for a time.")

        @OptionGroup var options: Options

        @Argument(help: "A label; * and ? stand for any text.")
        var labels: String

        @Argument(help: "How long: seconds, or a number with s, m, h or d, such as 30m.")
        var time: MuteTime

        func run() async throws {
            _ = try await options.perform("mute", ["labels": labels, "seconds": time.seconds])
            print("\(labels): muted for \(time.text)")
        }
    }

    struct Unmute: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Ends a mute, or all of them.")

        @OptionGroup var options: Options

        @Argument(help: "The label or pattern as it was muted. Default: all.")
        var labels: String?

        func run() async throws {
            let result = try await options.perform("unmute", labels.map { ["labels": $0] } ?? [:])
            let count = result["ended"] as? Int ?? 0
            guard count > 0 || labels == nil else {
                complain("\(labels ?? "") is not muted (`earshot status` lists what is)")
                throw ExitCode(1)
            }
            print(count == 1 ? "1 mute ended" : "\(count) mutes ended")
        }
    }
}

/// A time as people write it.
struct MuteTime: ExpressibleByArgument {
    let seconds: Double
    let text: String

    init?(argument: String) {
        guard let match = argument.wholeMatch(of: /([0-9]+(?:\.[0-9]+)?)(s|m|h|d)?/), let number = Double(match.1)
        else {
            return nil
        }
        let unit = match.2.map(String.init) ?? "s"
        seconds = number * ["s": 1, "m": 60, "h": 3600, "d": 86_400][unit, default: 1]
        text = String(match.1) + unit
        guard seconds > 0, seconds <= 604_800 else { return nil }
    }
}
