import ArgumentParser
import DetectionPipeline
import EventClient
import Foundation

/// Which daemon to talk to.
struct SocketOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("The daemon's socket.", discussion: "Default: /run/earshot/earshot.sock.", valueName: "path")
    )
    var socket: String?

    var path: String { socket ?? ResourceLocations.socket }
}

struct Watch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows events as the daemon sends them, until it ends or Ctrl-C.")

    @OptionGroup var socket: SocketOptions

    @Option(help: ArgumentHelp("Only these labels; * and ? stand for any text; may be repeated.", valueName: "pattern"))
    var label: [String] = []

    @Flag(help: "Also show live what each step sounds like.")
    var top = false

    @Flag(help: "Print the daemon's JSON lines as they are.")
    var jsonl = false

    func run() async throws {
        var requests: [String] = []
        if !label.isEmpty {
            requests.append(try Self.request(1, "subscribe", ["labels": label]))
        }
        if top { requests.append(#"{"id":2,"method":"top","params":{"k":5}}"#) }
        let printer = EventPrinter(printsRaw: jsonl)
        try await EventClient.run(socketPath: socket.path, requests: requests) { line in
            printer.show(line)
            return true
        }
    }

    private static func request(_ id: Int, _ method: String, _ params: [String: [String]]) throws -> String {
        struct Request: Encodable {
            let id: Int
            let method: String
            let params: [String: [String]]
        }
        return String(
            decoding: try JSONEncoder().encode(Request(id: id, method: method, params: params)), as: UTF8.self)
    }
}

/// Writes the daemon's lines for people.
struct EventPrinter: Sendable {
    let printsRaw: Bool

    func show(_ line: String) {
        printLine(Data((printsRaw ? line : text(of: line)).utf8))
    }

    private struct Message: Decodable {
        struct Entry: Decodable {
            let label: String
            let score: Double
        }
        struct Problem: Decodable { let message: String }
        let type: String?
        let source: String?
        let label: String?
        let score: Double?
        let onset: String?
        let offset: String?
        let duration: Double?
        let state: String?
        let reason: String?
        let missed: Int?
        let labels: [String]?
        let sources: [String]?
        let model: String?
        let top: [Entry]?
        let error: Problem?
    }

    private func text(of line: String) -> String {
        // With the space: the decoder traps on a text that ends with the 513th opening bracket.
        guard let message = try? JSONDecoder().decode(Message.self, from: Data((line + " ").utf8)) else { return line }
        let source = message.source ?? ""
        let label = message.label ?? ""
        switch message.type {
        case "hello":
            return "connected: model \(message.model ?? "?"), \(message.labels?.count ?? 0) labels, sources "
                + (message.sources ?? []).joined(separator: ", ")
        case "onset":
            return "\(clock(message.onset))  \(source)  \(label)  \(Int(((message.score ?? 0) * 100).rounded())) %"
        case "update": return "\(clock(message.onset))  \(source)  \(label)  goes on"
        case "offset":
            return "\(clock(message.offset))  \(source)  \(label)  over after \(rounded(message.duration ?? 0, 2)) s"
        case "gap": return "\(source): \(rounded(message.duration ?? 0, 3)) s of audio lost (\(message.reason ?? "?"))"
        case "source":
            return "\(source) is \(message.state ?? "?")" + (message.reason.map { ": \($0)" } ?? "")
        case "lagged": return "too slow: \(message.missed ?? 0) lines missed"
        case "top":
            let ranking = (message.top ?? []).map { "\($0.label) \(Int(($0.score * 100).rounded()))" }
            return "\(source)  " + (ranking.isEmpty ? "(silence)" : ranking.joined(separator: "  "))
        default:
            if let error = message.error { return "refused: \(error.message)" }
            return line
        }
    }

    /// The time of day of an ISO 8601 time, in UTC as sent.
    private func clock(_ time: String?) -> String {
        guard let time, let begin = time.firstIndex(of: "T") else { return "?" }
        return String(time[time.index(after: begin)...])
    }
}
