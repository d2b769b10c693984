package import EventMessages
import FoundationEssentials
import GRDB
import GRDBSQLite
import Glibc

/// The durable record of all numbered messages: an SQLite database in write-ahead mode, with one writer and any number of
/// readers.
///
/// Every commit is synchronised to the disk (`synchronous = FULL`): a number that a client has seen must stand for the same
/// message after a power cut, and `NORMAL` would lose the last commits then. Commits are few because messages are
/// written in batches.
package final class EventStore: Sendable {
    package struct Configuration: Sendable, Equatable {
        package var path: String
        /// Seconds after which a message may be removed; nil keeps it as long as there is room.
        package var maximumAge: Double?
        /// In bytes, of the database and its write-ahead log; the oldest messages make room.
        package var maximumSize: Int64

        /// `events.db` in the directory that the service manager gives for what is to last; nil where it gives none.
        package static var servicePath: String? {
            // systemd lists several directories with colons.
            let directories = ProcessInfo.processInfo.environment["STATE_DIRECTORY"]
            return directories?.split(separator: ":").first.map { $0 + "/events.db" }
        }

        /// The write-ahead log may be so large, and a batch of messages.
        static let headroom: Int64 = 8 << 20

        package init(path: String, maximumAge: Double? = 90 * 86_400, maximumSize: Int64 = 256_000_000) {
            self.path = path
            self.maximumAge = maximumAge
            self.maximumSize = maximumSize
        }
    }

    package let configuration: Configuration
    package let reader: EventStoreReader
    let pool: DatabasePool

    /// Opens the store, or begins a new one, and brings its schema up to date.
    ///
    /// - Throws: ``EventStoreError``.
    package init(_ configuration: Configuration) throws {
        self.configuration = configuration
        let path = configuration.path
        try EventStore.prepareFile(path)
        do {
            pool = try DatabasePool(path: path, configuration: EventStore.databaseConfiguration)
            reader = EventStoreReader(path: path, database: pool)
            try pool.writeWithoutTransaction { db in
                // After the pool has set it to NORMAL.
                try db.execute(sql: "PRAGMA synchronous = FULL")
                if try Int.fetchOne(db, sql: "SELECT count(*) FROM sqlite_schema") != 0 {
                    try checkSchema(db, path: path)
                }
            }
            try migrator.migrate(pool)
        } catch {
            throw EventStoreError(error, path: path)
        }
    }

    private static let databaseConfiguration: GRDB.Configuration = {
        var configuration = GRDB.Configuration()
        configuration.label = "earshot.store"
        configuration.busyMode = .timeout(5)
        configuration.maximumReaderCount = 4
        configuration.prepareDatabase { db in
            // In KiB. Messages are added at the end and read in order: SQLite's own 2 MB would only be filled, over hours.
            try db.execute(sql: "PRAGMA cache_size = -256")
            guard !db.configuration.readonly else { return }
            // Heeded by a new database only.
            try db.execute(sql: "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_size_limit = 4194304")
            // The log stays when the store is closed: who may only read could not open the store without it.
            var isPersistent: CInt = 1
            sqlite3_file_control(db.sqliteConnection, "main", SQLITE_FCNTL_PERSIST_WAL, &isPersistent)
        }
        return configuration
    }()

    /// Makes the file with the rights that the log beside it inherits: the group may read, whatever the umask.
    ///
    /// - Throws: ``EventStoreError`` of kind `unusable`.
    static func prepareFile(_ path: String) throws(EventStoreError) {
        func failure(_ text: String) -> EventStoreError { EventStoreError(.unusable, "\(path): \(text)") }
        let folder = folder(of: path)
        guard access(folder, F_OK) == 0 else { throw failure("there is no directory \(folder)") }
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else {
            let code = errno
            // SQLite finds that out as well, and it may pass.
            if code == ENOSPC || code == EDQUOT { return }
            throw failure("the event store cannot be written: \(String(cString: strerror(code)))")
        }
        defer { Glibc.close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw failure("is not a regular file")
        }
        if status.st_size == 0 { fchmod(descriptor, 0o640) }
        guard access(folder, W_OK | X_OK) == 0 else {
            throw failure("the directory \(folder) must be writable: \(String(cString: strerror(errno)))")
        }
    }

    /// Closes the database; nothing may be called afterwards.
    package func close() throws {
        // Else the connection that is closed last would do it, or not where that one can only read.
        _ = try? pool.writeWithoutTransaction { try $0.checkpoint(.truncate) }
        try pool.close()
    }

    // MARK: Writing

    /// Stores all of the messages in one transaction, or none. When it returns they survive a power cut.
    ///
    /// - Precondition: Numbers ascend, from above the last stored one on.
    /// - Throws: ``EventStoreError``.
    package func append(_ messages: some Sequence<SequencedMessage>, at time: Timestamp = .now()) throws {
        try write { db in
            let insertion = try db.cachedStatement(
                sql: """
                    INSERT INTO message (seq, time, type, source, event, label, score, onset, line)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """)
            let following = try db.cachedStatement(
                sql: """
                    INSERT INTO event (seq, name, onset, is_open) VALUES (?, ?, ?, ?)
                    ON CONFLICT (name) DO UPDATE SET seq = excluded.seq, onset = excluded.onset, is_open = excluded.is_open
                    """)
            for message in messages {
                let (sequence, header) = (message.sequence, message.header)
                let onset = header.event?.onset.millisecondsSinceEpoch
                try insertion.execute(arguments: [
                    sequence, time.millisecondsSinceEpoch, header.type.rawValue, header.source, header.event?.name,
                    header.event?.label, header.event.map { $0.score.isNaN ? 0 : $0.score }, onset,
                    String(decoding: message.line.dropLast(), as: UTF8.self),
                ])
                if let event = header.event {
                    try following.execute(arguments: [sequence, event.name, onset, header.type != .offset])
                }
            }
        }
    }

    // MARK: Retention

    /// Bytes of the database and its log on the disk.
    package var size: Int64 { fileSize(configuration.path) + fileSize(configuration.path + "-wal") }

    /// Whether ``prune(now:)`` would remove something for want of room.
    package func isTooLarge() throws -> Bool {
        try read { try usedBytes($0) > configuration.maximumSize - Configuration.headroom }
    }

    /// Removes what is older than the maximum age and, where the store has become too large, the oldest twentieth and more;
    /// gives the room back to the disk. The newest message stays, as it holds the last number.
    ///
    /// - Returns: How many messages were removed.
    /// - Throws: ``EventStoreError``.
    @discardableResult
    package func prune(now: Timestamp = .now()) throws -> Int {
        var removed = 0
        if let age = configuration.maximumAge {
            let oldest = now.millisecondsSinceEpoch - Int64(age * 1000)
            let first = try read { db in
                try Int64.fetchOne(
                    db, sql: "SELECT seq FROM message WHERE time >= ? ORDER BY seq LIMIT 1", arguments: [oldest])
                    ?? Int64.max
            }
            removed += try remove(below: first)
        }
        if try isTooLarge() {
            let target = (configuration.maximumSize - Configuration.headroom) / 20 * 19
            while try read({ try usedBytes($0) > target }) {
                let first = try reader.firstSequence()
                let count = try remove(below: first + EventStore.removalLength, atMost: EventStore.removalLength)
                if count == 0 { break }
                removed += count
            }
        }
        if removed > 0 { try giveBack() }
        return removed
    }

    /// Messages removed in one transaction.
    private static let removalLength: Int64 = 2000

    private func remove(below end: Int64, atMost limit: Int64 = .max) throws -> Int {
        var removed = 0
        while Int64(removed) < limit {
            let count = try write { db in
                try db.execute(
                    sql: """
                        DELETE FROM message WHERE seq IN (
                            SELECT seq FROM message WHERE seq < min(?, (SELECT max(seq) FROM message)) ORDER BY seq LIMIT ?)
                        """, arguments: [end, EventStore.removalLength])
                let count = db.changesCount
                try db.execute(sql: "DELETE FROM event WHERE seq < (SELECT min(seq) FROM message)")
                return count
            }
            removed += count
            if count < EventStore.removalLength { break }
        }
        return removed
    }

    /// Cuts free pages off the file, some at a time: a single large transaction would swell the log.
    private func giveBack() throws {
        var before = Int64.max
        while true {
            let free = try write { db in
                _ = try Row.fetchAll(db, sql: "PRAGMA incremental_vacuum(256)")
                return try Int64.fetchOne(db, sql: "PRAGMA freelist_count") ?? 0
            }
            guard free > 0, free < before else { return }
            before = free
        }
    }

    private func usedBytes(_ db: Database) throws -> Int64 {
        func value(_ name: String) throws -> Int64 { try Int64.fetchOne(db, sql: "PRAGMA \(name)") ?? 0 }
        return try (value("page_count") - value("freelist_count")) * value("page_size")
    }

    private func read<Value>(_ body: (Database) throws -> Value) throws -> Value {
        do {
            return try pool.read(body)
        } catch {
            throw EventStoreError(error, path: configuration.path)
        }
    }

    private func write<Value>(_ body: (Database) throws -> Value) throws -> Value {
        do {
            return try pool.write(body)
        } catch {
            throw EventStoreError(error, path: configuration.path)
        }
    }

    // MARK: Damage

    /// Files set aside that are kept; the oldest beyond go.
    private static let asideLimit = 3

    /// Renames a damaged store, so that a new one can be begun in its place.
    ///
    /// - Returns: The new name.
    static func setAside(path: String, now: Date = Date()) throws(EventStoreError) -> String {
        let time = now.formatted(Date.ISO8601FormatStyle(dateSeparator: .omitted, timeSeparator: .omitted))
        let name = "\(path).damaged-\(time)"
        guard rename(path, name) == 0 else {
            throw EventStoreError(
                .failed, "\(path): damaged, and cannot be renamed: \(String(cString: strerror(errno)))")
        }
        rename(path + "-wal", name + "-wal")
        unlink(path + "-shm")
        removeOldest(path)
        return name
    }

    private static func removeOldest(_ path: String) {
        let folder = folder(of: path)
        let prefix = String(path.split(separator: "/").last ?? "") + ".damaged-"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        let aside = names.filter { $0.hasPrefix(prefix) && !$0.hasSuffix("-wal") }.sorted()
        for name in aside.dropLast(asideLimit) {
            unlink("\(folder)/\(name)")
            unlink("\(folder)/\(name)-wal")
        }
    }
}

private func fileSize(_ path: String) -> Int64 {
    var status = stat()
    return stat(path, &status) == 0 ? Int64(status.st_size) : 0
}
