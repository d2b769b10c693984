import ArgumentParser
import EventClient
import Foundation

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows the daemon's state: sources, backlog, losses, clients.")

    @OptionGroup var socket: SocketOptions

    @Flag(help: "Print one line of JSON instead of indented JSON.")
    var json = false

    func run() async throws {
        let path = socket.path
        let isCompact = json
        let isAnswered = try await EventClient.run(socketPath: path, requests: [#"{"id":"status","method":"status"}"#])
        { line in
            guard let reply = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
                reply["id"] as? String == "status"
            else { return true }
            let result = reply["result"] ?? reply
            let options: JSONSerialization.WritingOptions =
                isCompact
                ? [.sortedKeys, .withoutEscapingSlashes] : [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
            let data = try JSONSerialization.data(withJSONObject: result, options: options)
            printLine(data)
            return false
        }
        guard isAnswered else {
            complain("\(path): the daemon closed the connection before it answered")
            throw ExitCode(1)
        }
    }
}
