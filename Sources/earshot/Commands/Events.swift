import ArgumentParser
import EventMessages
import EventStore
import Foundation

struct Events: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lists the events that the daemon has stored, whether it runs or not.",
        discussion: """
            One line for each event, oldest first, times in UTC. A TIME is a date (2026-11-21), a date and time \
            (2026-11-21T09:30 or ...:00Z; UTC without a zone) or so long ago (90m, 12h, 7d).
            """)

    @Option(
        help: ArgumentHelp(
            "The event store.", discussion: "Default: events.db in $STATE_DIRECTORY or /var/lib/earshot.",
            valueName: "path"))
    var store: String?

    @Option(
        help: ArgumentHelp(
            "Events that began then or later; or, for a plain number, those with a message after that seq.",
            valueName: "time|seq"))
    var since: String?

    @Option(help: ArgumentHelp("Events that began before.", valueName: "time"))
    var until: String?

    @Option(help: ArgumentHelp("Only these labels; * and ? stand for any text; may be repeated.", valueName: "pattern"))
    var label: [String] = []

    @Option(help: ArgumentHelp("Only these sources; * and ? as above; may be repeated.", valueName: "pattern"))
    var source: [String] = []

    @Option(help: ArgumentHelp("Only events with at least this score, 0 to 1.", valueName: "score"))
    var minScore: Double?

    @Option(help: ArgumentHelp("Only the newest so many.", valueName: "count"))
    var limit: Int?

    @Flag(help: "Print the daemon's JSON line for each: its offset, or the last line of an event that goes on.")
    var jsonl = false

    @Flag(help: "Print comma-separated values with a header.")
    var csv = false

    func validate() throws {
        if jsonl && csv { throw ValidationError("--jsonl and --csv exclude each other") }
        if let limit, limit < 1 { throw ValidationError("--limit must be 1 or more, not \(limit)") }
        if let minScore, !(0...1).contains(minScore) {
            throw ValidationError("--min-score must be from 0 to 1, not \(minScore)")
        }
        _ = try query()
    }

    func run() throws {
        let path = store ?? EventStore.Configuration.servicePath ?? "/var/lib/earshot/events.db"
        let reader = try EventStoreReader(path: path)
        let table = EventTable(style: jsonl ? .jsonLines : csv ? .csv : .columns)
        table.writeHeader()
        try reader.forEachEvent(matching: query()) { table.write($0) }
    }

    private func query() throws -> EventQuery {
        var query = EventQuery()
        if let since {
            if let sequence = Int64(since), sequence >= 0 {
                query.after = sequence
            } else {
                query.from = try time(since, option: "--since", alternative: ", or a sequence number")
            }
        }
        query.before = try until.map { try time($0, option: "--until") }
        if !label.isEmpty { query.labels = label.map(Glob.init) }
        if !source.isEmpty { query.sources = source.map(Glob.init) }
        query.minimumScore = minScore
        query.limit = limit
        return query
    }

    private func time(_ text: String, option: String, alternative: String = "") throws -> Timestamp {
        if let time = PointInTime.read(text) { return time }
        throw ValidationError(
            "\(option) must be a time such as 2026-11-21, 2026-11-21T09:30Z or 12h\(alternative), not \"\(text)\"")
    }
}

/// Points in time as people write them.
enum PointInTime {
    static func read(_ text: String, now: Date = Date()) -> Timestamp? {
        let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        if let unit = text.last.flatMap({ units[$0] }), let count = Double(text.dropLast()), count >= 0, count.isFinite
        {
            return Timestamp(secondsSinceEpoch: now.timeIntervalSince1970 - count * unit)
        }
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(secondsFromGMT: 0)
        formatter.isLenient = false
        let text = text.replacing(" ", with: "T")
        for form in ["yyyy-MM-dd", "yyyy-MM-dd'T'HH:mm", "yyyy-MM-dd'T'HH:mm:ss", "yyyy-MM-dd'T'HH:mm:ss.SSS"] {
            for zone in ["", "XXXXX"] {
                formatter.dateFormat = form + zone
                if let date = formatter.date(from: text) {
                    return Timestamp(secondsSinceEpoch: date.timeIntervalSince1970)
                }
            }
        }
        return nil
    }
}

/// Writes events one by one.
struct EventTable {
    enum Style {
        case columns, csv, jsonLines
    }

    let style: Style

    func writeHeader() {
        switch style {
        case .columns: printLine(Data("ONSET                     DURATION  SCORE  SOURCE        LABEL".utf8))
        case .csv: printLine(Data("seq,event,source,label,score,onset,offset,duration,level_dbfs".utf8))
        case .jsonLines: break
        }
    }

    func write(_ message: SequencedMessage) {
        if style == .jsonLines { return printLine(Data(message.line.dropLast())) }
        guard let event = try? EventMessage(line: message.line) else { return }
        let duration = String(format: "%.3f", event.duration)
        if style == .csv {
            let fields = [
                String(message.sequence), event.event, event.source, event.label, String(format: "%.4f", event.score),
                event.onset.description,
                event.offset?.description ?? "", duration, event.levelDecibels.map { String(format: "%.1f", $0) } ?? "",
            ]
            printLine(Data(fields.map(quoted).joined(separator: ",").utf8))
        } else {
            let length = event.offset == nil ? "goes on" : String(format: "%.1f s", event.duration)
            let columns = [
                event.onset.description, padded(length, 8), padded(String(format: "%.2f", event.score), 5),
                padded(event.source, 12), event.label,
            ]
            printLine(Data(columns.joined(separator: "  ").utf8))
        }
    }

    private func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    /// As RFC 4180 has it.
    private func quoted(_ field: String) -> String {
        guard field.contains(where: { ",\"\r\n".contains($0) }) else { return field }
        return "\"" + field.replacing("\"", with: "\"\"") + "\""
    }
}
