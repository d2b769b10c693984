import GRDB
import Glibc

/// Marks the file as an event store of earshot ("ears").
private let applicationIdentifier: Int32 = 0x6561_7273

/// The versions of the schema. What has been released is never changed: a new version is a new migration.
let migrator: DatabaseMigrator = {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1") { db in
        try db.execute(sql: "PRAGMA application_id = \(applicationIdentifier)")
        // `time` is when the row was written, `line` what clients got, without its newline; the other columns are what
        // filters look at. The integers are milliseconds since 1970.
        try db.execute(
            sql: """
                CREATE TABLE message (
                    seq INTEGER PRIMARY KEY,
                    time INTEGER NOT NULL,
                    type TEXT NOT NULL,
                    source TEXT NOT NULL,
                    event TEXT,
                    label TEXT,
                    score REAL,
                    onset INTEGER,
                    line TEXT NOT NULL
                ) STRICT;
                """)
        // Each event once, with the number of its last message.
        try db.execute(
            sql: """
                CREATE TABLE event (
                    seq INTEGER PRIMARY KEY,
                    name TEXT NOT NULL UNIQUE,
                    onset INTEGER NOT NULL,
                    is_open INTEGER NOT NULL
                ) STRICT;
                CREATE INDEX event_onset ON event (onset);
                CREATE INDEX event_open ON event (seq) WHERE is_open;
                """)
    }
    return migrator
}()

/// - Throws: ``EventStoreError`` where the database is not an event store of this version or an earlier one.
func checkSchema(_ db: Database, path: String) throws {
    let identifier = try Int32.fetchOne(db, sql: "PRAGMA application_id") ?? 0
    guard identifier == applicationIdentifier else {
        throw EventStoreError(.unusable, "\(path): is a database, but not an event store of earshot; name another path")
    }
    guard try !migrator.hasBeenSuperseded(db) else {
        throw EventStoreError(
            .newer, "\(path): was written by a later version of earshot; install that, or name another path")
    }
}

/// - Throws: ``EventStoreError`` of kind `unusable` that says why the file cannot be read.
func checkReadable(_ path: String) throws(EventStoreError) {
    guard access(path, R_OK) != 0 else { return }
    switch errno {
    case ENOENT: throw EventStoreError(.unusable, "\(path): there is no event store here")
    case EACCES:
        throw EventStoreError(
            .unusable, "\(path): you may not read this; join the group earshot and log in again, or use sudo")
    default: throw EventStoreError(.unusable, "\(path): cannot be read: \(String(cString: strerror(errno)))")
    }
}
