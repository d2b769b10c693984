import ArgumentParser
import DetectionPipeline
import Evaluation
import EventStore
import Foundation

@main
struct EarshotCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "earshot",
        abstract: "Hears the sounds that you name: zero-shot sound event detection.",
        subcommands: [
            Detect.self, Classify.self, Evaluate.self, Watch.self, Events.self, Status.self, Control.self, Doctor.self,
            Devices.self,
            LabelsCommand.self,
            Bench.self,
        ])

    /// Runs a subcommand; a failure is one line on standard error.
    ///
    /// Exit status: 0 good, 1 failure at work, 2 wrong usage or input.
    static func main() async {
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
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
            complain(message(for: error).split(separator: "\n").joined(separator: " ") + " (see earshot --help)")
            Foundation.exit(2)
        }
        complain(String(describing: error))
        if let error = error as? EventStoreError { Foundation.exit(error.isWrongInput ? 2 : 1) }
        Foundation.exit(isInputProblem(error) || error is EvaluationError || error is UsageProblem ? 2 : 1)
    }
}

/// Prints one line on standard error.
func complain(_ line: String) {
    FileHandle.standardError.write(Data("earshot: \(line)\n".utf8))
}
