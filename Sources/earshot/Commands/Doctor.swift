import ArgumentParser
import DaemonConfiguration
import Diagnosis
import Foundation

struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Checks the set-up: devices, permissions, model, labels, sockets, store, unit.",
        discussion: """
            Opens each configured device and listens for a moment. One line per check: ok, warn or fail, and what to do \
            about it. Exit status: 0 if nothing failed, 1 if something did, 2 for wrong usage.
            """)

    private static let standardPath = "/etc/earshot/earshot.yaml"

    @Option(
        help: ArgumentHelp(
            "The daemon's configuration file.", discussion: "Default: \(standardPath), or the defaults without one.",
            valueName: "file"))
    var config: String?

    @Flag(help: "Print the findings as one line of JSON.")
    var json = false

    func run() async throws {
        var findings: [Finding] = []
        func report(_ finding: Finding) {
            findings.append(finding)
            if !json { printLine(Data(finding.text.utf8)) }
        }
        if let configuration = readConfiguration(report) {
            await Diagnosis(configuration).run(report: report)
        }
        let isHealthy = !findings.contains { $0.verdict == .fail }
        if json { try printJSON(Report(healthy: isHealthy, checks: findings)) }
        if !isHealthy { throw ExitCode(1) }
    }

    private struct Report: Encodable {
        let healthy: Bool
        let checks: [Finding]
    }

    private func readConfiguration(_ report: (Finding) -> Void) -> DaemonConfiguration? {
        let path = config ?? Self.standardPath
        if config == nil, !FileManager.default.fileExists(atPath: path) {
            report(.noConfiguration(path))
            return DaemonConfiguration()
        }
        do {
            let configuration = try DaemonConfiguration(path: path)
            report(.configuration(path, configuration))
            return configuration
        } catch {
            report(.wrongConfiguration(error))
            return nil
        }
    }
}
