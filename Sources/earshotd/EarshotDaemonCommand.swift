import ArgumentParser
import AudioCapture
import DaemonConfiguration
import DetectionPipeline
import EventStore
import Foundation
import Logging
import MQTTPublisher

@main
struct EarshotDaemonCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "earshotd",
        abstract: "Listens to audio sources and serves what it hears on a Unix socket.",
        discussion: """
            SIGHUP reads configuration and label files again; SIGTERM and SIGINT end the daemon. Exit status: 0 after a \
            clean stop, 1 for a failure at work, 2 for wrong usage or configuration.
            """,
        version: earshotVersion)

    @Option(help: ArgumentHelp("Configuration file (YAML); the options below override it.", valueName: "file"))
    var config: String?

    @Option(help: ArgumentHelp("alsa:DEVICE, a path, or - (raw s16le mono); may be repeated.", valueName: "source"))
    var source: [String] = []

    @Option(help: ArgumentHelp("Label file; may be repeated.", valueName: "file"))
    var labels: [String] = []

    @Option(help: ArgumentHelp("Path of the event socket.", valueName: "path"))
    var socket: String?

    @Option(
        help: ArgumentHelp(
            "Where events are stored, or off.", discussion: "Default: events.db in $STATE_DIRECTORY; off without one.",
            valueName: "path"))
    var store: String?

    @Option(help: ArgumentHelp("Model directory.", valueName: "dir"))
    var model: String?

    @Option(help: ArgumentHelp("Directory of the sentence encoder.", valueName: "dir"))
    var textEncoder: String?

    @Option(help: ArgumentHelp("Directory of the label embedding cache.", valueName: "dir"))
    var cache: String?

    @Option(help: ArgumentHelp("Sample rate of raw audio on standard input, in Hz.", valueName: "hz"))
    var rate = 32_000

    @Option(
        help: ArgumentHelp("Log level: trace, debug, info, notice, warning, error or critical.", valueName: "level"))
    var logLevel: LogLevel?

    @Flag(help: "Read files at the pace of their audio.")
    var realtime = false

    @Flag(help: "End when every source has ended.")
    var once = false

    static func main() async {
        do {
            var command = try parse()
            try await command.run()
        } catch {
            finish(with: error)
        }
    }

    private static func finish(with error: any Error) -> Never {
        if let code = error as? ExitCode { Foundation.exit(code.rawValue) }
        let parserCode = exitCode(for: error)
        if parserCode == .success {
            print(fullMessage(for: error))
            Foundation.exit(0)
        }
        if parserCode == .validationFailure {
            let problem = message(for: error).split(separator: "\n").joined(separator: " ")
            complain("\(problem) (see earshotd --help)")
            Foundation.exit(2)
        }
        complain(String(describing: error))
        Foundation.exit(isWrongInput(error) ? 2 : 1)
    }

    private static func isWrongInput(_ error: any Error) -> Bool {
        if let error = error as? EventStoreError { return error.isWrongInput }
        return isInputProblem(error) || error is ConfigurationError || error is ConfigurationProblem
            || error is SourcesFailed || error is MQTTError
    }

    mutating func run() async throws {
        let passed = try PassedSockets()
        let level = Logger.Level(rawValue: try effectiveConfiguration().logLevel.rawValue) ?? .info
        LoggingSystem.bootstrap { LogWriter(label: $0, level: level) }
        let command = self
        let daemon = try Daemon(standardInputRate: rate, endsWithSources: once, passed: passed) {
            try command.effectiveConfiguration()
        }
        try await daemon.run()
    }

    /// The configuration file, with what the command line says instead.
    private func effectiveConfiguration() throws -> DaemonConfiguration {
        var settings = try config.map { try DaemonConfiguration(path: $0) } ?? DaemonConfiguration()
        if !source.isEmpty {
            settings.sources = source.enumerated().map { index, device in
                SourceConfiguration(name: source.count == 1 ? "source" : "source\(index + 1)", device: device)
            }
        }
        if realtime {
            for index in settings.sources.indices { settings.sources[index].isRealtime = true }
        }
        if !labels.isEmpty { settings.labels = labels.map { .file($0) } }
        if let socket {
            settings.socket.path = socket
        } else if config == nil {
            settings.socket.path = ResourceLocations.socket
        }
        if let store {
            settings.store.isOn = store != "off"
            settings.store.path = store
        }
        if let model { settings.modelDirectory = model }
        if let textEncoder { settings.textEncoderDirectory = textEncoder }
        if let cache { settings.cacheDirectory = cache }
        if let logLevel { settings.logLevel = logLevel }
        return settings
    }
}

extension LogLevel: ExpressibleByArgument {}

/// Prints one line on standard error.
func complain(_ line: String) {
    FileHandle.standardError.write(Data("earshotd: \(line)\n".utf8))
}
