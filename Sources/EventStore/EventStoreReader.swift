package import EventMessages
import GRDB

/// Which events ``EventStoreReader/events(matching:)`` finds; what is nil admits all.
package struct EventQuery: Sendable {
    /// Events that began then or later.
    package var from: Timestamp?
    /// Events that began before.
    package var before: Timestamp?
    /// Events of which a message has a number above this.
    package var after: Int64?
    package var labels: [Glob]?
    package var sources: [Glob]?
    /// In 0...1.
    package var minimumScore: Double?
    /// The newest so many.
    package var limit: Int?

    package init() {}

    fileprivate func admits(_ message: SequencedMessage) -> Bool {
        guard let event = message.header.event else { return false }
        return event.score >= minimumScore ?? -.infinity
            && labels?.contains { $0.matches(event.label) } != false
            && sources?.contains { $0.matches(message.header.source) } != false
    }
}

/// Reads an event store, also one that a daemon writes to or that nobody may write to.
package struct EventStoreReader: Sendable {
    /// Rows read at once: a long reading transaction would keep the write-ahead log from being emptied.
    private static let pageLength = 500

    let path: String
    let database: any DatabaseReader

    init(path: String, database: any DatabaseReader) {
        self.path = path
        self.database = database
    }

    /// Opens a store for reading alone.
    ///
    /// - Throws: ``EventStoreError``, `unusable` where there is no store.
    package init(path: String) throws {
        try checkReadable(path)
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(5)
        self.path = path
        do {
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            try queue.read { try checkSchema($0, path: path) }
            database = queue
        } catch {
            throw EventStoreError(error, path: path)
        }
    }

    /// The first number that is still there, 0 in an empty store.
    package func firstSequence() throws -> Int64 { try number("SELECT min(seq) FROM message") }

    /// The last number stored, 0 in an empty store.
    package func lastSequence() throws -> Int64 { try number("SELECT max(seq) FROM message") }

    private func number(_ query: String) throws -> Int64 {
        try read { try Int64.fetchOne($0, sql: query) ?? 0 }
    }

    /// The messages after a number, ascending, at most `limit`. A number left out was not stored.
    package func messages(after sequence: Int64, limit: Int) throws -> [SequencedMessage] {
        try read { db in
            let statement = try db.cachedStatement(
                sql: "SELECT \(columns) FROM message WHERE seq > ? ORDER BY seq LIMIT ?")
            return try rows(statement, [sequence, limit])
        }
    }

    /// The last message of each event that has not ended, ascending.
    package func openEvents() throws -> [SequencedMessage] {
        try read { db in
            let statement = try db.cachedStatement(
                sql: "SELECT \(columns) FROM message JOIN event USING (seq) WHERE is_open ORDER BY seq")
            return try rows(statement, [])
        }
    }

    /// Whole events by their onset, oldest first: of each its last message, which is its offset if it has ended.
    package func events(matching query: EventQuery) throws -> [SequencedMessage] {
        var found: [SequencedMessage] = []
        try forEachEvent(matching: query) { found.append($0) }
        return found
    }

    /// Calls `body` with what ``events(matching:)`` gives, without holding all of it in memory where there is no limit.
    package func forEachEvent(matching query: EventQuery, _ body: (SequencedMessage) throws -> Void) throws {
        guard let limit = query.limit else {
            return try walk(query, isDescending: false) {
                try body($0); return true
            }
        }
        guard limit > 0 else { return }
        var newest: [SequencedMessage] = []
        try walk(query, isDescending: true) {
            newest.append($0)
            return newest.count < limit
        }
        for message in newest.reversed() { try body(message) }
    }

    private func walk(
        _ query: EventQuery, isDescending: Bool, _ body: (SequencedMessage) throws -> Bool
    ) throws {
        let (beyond, order) = isDescending ? ("<", "DESC") : (">", "ASC")
        let sql = """
            SELECT \(columns) FROM event JOIN message USING (seq)
            WHERE (event.onset, seq) \(beyond) (?, ?) AND event.onset >= ? AND event.onset < ? AND seq > ?
            ORDER BY event.onset \(order), seq \(order) LIMIT ?
            """
        var position: (onset: Int64, seq: Int64) = isDescending ? (.max, .max) : (.min, .min)
        while true {
            let page = try read { db in
                try rows(
                    try db.cachedStatement(sql: sql),
                    [
                        position.onset, position.seq, query.from?.millisecondsSinceEpoch ?? .min,
                        query.before?.millisecondsSinceEpoch ?? .max, query.after ?? .min, Self.pageLength,
                    ])
            }
            for message in page where query.admits(message) {
                guard try body(message) else { return }
            }
            guard page.count == Self.pageLength, let last = page.last, let onset = last.header.event?.onset else {
                return
            }
            position = (onset.millisecondsSinceEpoch, last.sequence)
        }
    }

    /// Whether the file's structure is sound; reads all of it.
    package func isIntact() -> Bool {
        (try? read { try String.fetchOne($0, sql: "PRAGMA quick_check(1)") == "ok" }) ?? false
    }

    private func read<Value>(_ body: (Database) throws -> Value) throws -> Value {
        do {
            return try database.read(body)
        } catch {
            throw EventStoreError(error, path: path)
        }
    }
}

/// What ``rows(_:_:)`` expects.
private let columns = "message.seq, type, source, message.event, label, score, message.onset, line"

private func rows(_ statement: Statement, _ arguments: StatementArguments) throws -> [SequencedMessage] {
    let cursor = try Row.fetchCursor(statement, arguments: arguments)
    var messages: [SequencedMessage] = []
    while let row = try cursor.next() {
        guard let type = MessageType(rawValue: row[1]) else { continue }
        var header = MessageHeader(type: type, source: row[2])
        if let name: String = row[3] {
            header.event = .init(
                name: name, label: row[4], score: row[5], onset: Timestamp(millisecondsSinceEpoch: row[6]))
        }
        let line: String = row[7]
        messages.append(
            SequencedMessage(sequence: row[0], header: header, line: Array(line.utf8) + [UInt8(ascii: "\n")]))
    }
    return messages
}
