import EventMessages
import Foundation
import GRDB
import Testing

@testable import EventStore

@Suite struct EventStoreTests {
    @Test func messagesComeBackAsTheyWere() throws {
        let folder = try TemporaryFolder()
        let store = try EventStore(folder.store)
        #expect(try store.reader.firstSequence() == 0 && store.reader.lastSequence() == 0)
        let messages = Fixture.numbered(
            [
                Fixture.event(.onset, label: "a \"b\" ü\n", score: 1.0 / 3), Fixture.gap(), Fixture.event(.offset),
                .source(SourceMessage(source: "mic", state: .down, time: .now(), reason: "gone")),
            ], from: 5)
        try store.append(messages)
        #expect(try store.reader.messages(after: 0, limit: 10) == messages)
        #expect(try store.reader.messages(after: 5, limit: 2) == Array(messages[1...2]))
        #expect(try store.reader.messages(after: 8, limit: 2).isEmpty)
        #expect(try store.reader.firstSequence() == 5 && store.reader.lastSequence() == 8)
        // All or nothing: the second has a number that is taken.
        #expect(throws: EventStoreError.self) {
            try store.append(Fixture.numbered([Fixture.gap()], from: 9) + messages)
        }
        #expect(try store.reader.lastSequence() == 8)
        try store.close()
        let again = try EventStore(folder.store)
        #expect(try again.reader.messages(after: 0, limit: 10) == messages)
        #expect(again.reader.isIntact())
    }

    /// The promises of the documentation that hang on settings of SQLite.
    @Test func settings() throws {
        let folder = try TemporaryFolder()
        let before = umask(0o077)
        let store = try EventStore(folder.store)
        umask(before)
        try store.append(Fixture.numbered([Fixture.gap()]))
        for name in ["events.db", "events.db-wal"] {
            var status = stat()
            #expect(stat(folder.file(name), &status) == 0 && status.st_mode & 0o777 == 0o640, "\(name)")
        }
        for (name, value) in ["journal_mode": "wal", "synchronous": "2", "auto_vacuum": "2"] {
            let actual = try store.pool.writeWithoutTransaction { try String.fetchOne($0, sql: "PRAGMA \(name)") }
            #expect(actual == value, "\(name)")
        }
    }

    @Test func eventsAreWhole() throws {
        let folder = try TemporaryFolder()
        let store = try EventStore(folder.store)
        var messages: [ServerMessage] = []
        // Onsets in reverse, so that the order is not that of the numbers; the last stays open.
        for index in 0..<1300 {
            let onset = 1_000_000 - Int64(index) * 10
            let (label, source) = (index % 2 == 0 ? "dog" : "cat", index % 5 == 0 ? "yard" : "mic")
            messages.append(Fixture.event(.onset, "e\(index)", label: label, source: source, score: 0.4, onset: onset))
            messages.append(Fixture.event(.update, "e\(index)", label: label, source: source, score: 0.5, onset: onset))
            if index < 1299 {
                messages.append(
                    Fixture.event(
                        .offset, "e\(index)", label: label, source: source, score: Double(index % 10) / 10, onset: onset
                    ))
            }
        }
        messages.append(Fixture.gap())
        try store.append(Fixture.numbered(messages))
        func names(_ configure: (inout EventQuery) -> Void) throws -> [Int] {
            var query = EventQuery()
            configure(&query)
            return try store.reader.events(matching: query).map { Int($0.header.event!.name.dropFirst())! }
        }
        #expect(try names { _ in } == Array((0..<1300).reversed()))
        let all = try store.reader.events(matching: EventQuery())
        #expect(all.dropFirst().allSatisfy { $0.header.type == .offset } && all[0].header.type == .update)
        #expect(try names { $0.limit = 3 } == [2, 1, 0])
        #expect(
            try names {
                $0.limit = 700; $0.labels = [Glob("c*")]
            }.count == 650)
        #expect(
            try names {
                $0.sources = [Glob("yard")]; $0.limit = 2
            } == [5, 0])
        #expect(
            try names {
                $0.minimumScore = 0.85; $0.limit = 2
            } == [19, 9])
        #expect(
            try names {
                $0.from = Timestamp(millisecondsSinceEpoch: 999_970)
                $0.before = Timestamp(millisecondsSinceEpoch: 1_000_000)
            } == [3, 2, 1])
        // The offset of event 1297 has the number 3894.
        #expect(try names { $0.after = 3893 } == [1299, 1298, 1297])
        #expect(try store.reader.openEvents().map(\.header.event?.name) == ["e1299"])
    }

    @Test func ageIsBounded() throws {
        let folder = try TemporaryFolder()
        var configuration = folder.store
        configuration.maximumAge = 100
        let store = try EventStore(configuration)
        func time(_ seconds: Int64) -> Timestamp { Timestamp(millisecondsSinceEpoch: seconds * 1000) }
        for index in 0..<10 {
            let name = "e\(index)"
            try store.append(
                Fixture.numbered(
                    [Fixture.event(.onset, name), Fixture.event(.offset, name)], from: Int64(index) * 2 + 1),
                at: time(1000 + Int64(index) * 10))
        }
        #expect(try store.prune(now: time(1100)) == 0)
        #expect(try store.prune(now: time(1145)) == 10)
        #expect(try store.reader.firstSequence() == 11)
        #expect(try store.reader.events(matching: EventQuery()).count == 5)
        // The last number must not be forgotten.
        #expect(try store.prune(now: time(9999)) == 9)
        #expect(try store.reader.firstSequence() == 20 && store.reader.lastSequence() == 20)
    }

    /// Under load the files stay below the bound, the newest messages are there, and the numbers have no hole.
    @Test func sizeIsBounded() throws {
        let folder = try TemporaryFolder()
        var configuration = folder.store
        configuration.maximumSize = 16_000_000
        let store = try EventStore(configuration)
        var (next, largest) = (Int64(1), Int64(0))
        for _ in 0..<60 {
            let messages = (0..<500).map {
                Fixture.event($0 % 2 == 0 ? .onset : .offset, "e\(next + Int64($0) / 2)", padding: 800)
            }
            try store.append(Fixture.numbered(messages, from: next))
            next += 500
            if try store.isTooLarge() { try store.prune() }
            largest = max(largest, store.size)
        }
        #expect(largest < 16_000_000 && largest > 8_000_000, "\(largest)")
        let first = try store.reader.firstSequence()
        #expect(try first > 1 && store.reader.lastSequence() == next - 1)
        #expect(try store.reader.messages(after: 0, limit: .max).map(\.sequence) == Array(first..<next))
        #expect(store.reader.isIntact())
        // A smaller bound, after a change of the configuration, gives room back.
        try store.close()
        configuration.maximumSize = 10_000_000
        let smaller = try EventStore(configuration)
        try smaller.prune()
        try smaller.append(Fixture.numbered([Fixture.gap()], from: next))
        #expect(smaller.size < 10_000_000, "\(smaller.size)")
    }

    @Test func readersNeedNoWriter() throws {
        let folder = try TemporaryFolder()
        let messages = Fixture.numbered([Fixture.event(.onset), Fixture.event(.offset)])
        let store = try EventStore(folder.store)
        try store.append(messages)
        let beside = try EventStoreReader(path: folder.store.path)
        #expect(try beside.messages(after: 0, limit: 9) == messages)
        try store.append(Fixture.numbered([Fixture.gap()], from: 3))
        #expect(try beside.lastSequence() == 3)
        try store.close()
        #expect(try EventStoreReader(path: folder.store.path).lastSequence() == 3)
    }

    @Test func wrongPlacesAreNamed() throws {
        let folder = try TemporaryFolder()
        func kind(_ path: String) -> EventStoreError.Kind? {
            do {
                _ = try EventStore(.init(path: path))
                return nil
            } catch {
                let error = error as? EventStoreError
                #expect(error?.description.hasPrefix(path) == true, "\(error as Any)")
                return error?.kind
            }
        }
        #expect(kind(folder.file("none/events.db")) == .unusable)
        #expect(kind("/proc/events.db") == .unusable)
        #expect(kind(folder.path) == .unusable)
        let foreign = folder.file("foreign.db")
        try DatabaseQueue(path: foreign).write { try $0.execute(sql: "CREATE TABLE mine (x)") }
        #expect(kind(foreign) == .unusable)
        let newer = folder.file("newer.db")
        try EventStore(.init(path: newer)).close()
        try DatabaseQueue(path: newer).write { try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('999')") }
        #expect(kind(newer) == .newer)
        #expect(throws: EventStoreError.self) { try EventStoreReader(path: folder.file("none.db")) }
        #expect(throws: EventStoreError.self) { try EventStoreReader(path: foreign) }
        #expect(throws: EventStoreError.self) { try EventStoreReader(path: newer) }
    }
}
