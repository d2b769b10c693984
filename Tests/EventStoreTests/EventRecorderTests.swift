import EventMessages
import Foundation
import GRDB
import Testing

@testable import EventStore

@Suite struct EventRecorderTests {
    private func recorder(
        _ configuration: EventStore.Configuration, _ sink: Sink, limits: (inout EventRecorder.Limits) -> Void = { _ in }
    ) throws -> EventRecorder {
        var all = EventRecorder.Limits()
        all.retryInterval = .milliseconds(20)
        limits(&all)
        return try EventRecorder(configuration, limits: all, logger: Fixture.silentLogger) { sink.take($0) }
    }

    private func stored(_ configuration: EventStore.Configuration) throws -> [SequencedMessage] {
        try EventStoreReader(path: configuration.path).messages(after: 0, limit: .max)
    }

    /// Another connection sees each message before it is handed on, from many threads.
    @Test func storedBeforeHandedOn() async throws {
        let folder = try TemporaryFolder()
        let sink = Sink()
        let witness = Sink()
        let recorder = try EventRecorder(folder.store, logger: Fixture.silentLogger) { batch in
            if let reader = try? EventStoreReader(path: folder.store.path), let last = batch.last?.sequence,
                (try? reader.lastSequence()) == last
            {
                witness.take(batch)
            }
            sink.take(batch)
        }
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 { group.addTask { for _ in 0..<500 { recorder.record(Fixture.gap()) } } }
        }
        recorder.close()
        #expect(sink.all.map(\.sequence) == Array(1...2000))
        #expect(witness.all.count == 2000)
        #expect(try stored(folder.store) == sink.all)
    }

    @Test func numbersGoOnAfterARestart() throws {
        let folder = try TemporaryFolder()
        for run in 0..<3 as Range<Int64> {
            let sink = Sink()
            let recorder = try recorder(folder.store, sink)
            #expect(recorder.lastSequence == run * 10)
            for _ in 0..<10 { recorder.record(Fixture.gap()) }
            recorder.close()
            #expect(sink.all.map(\.sequence) == Array(run * 10 + 1...run * 10 + 10))
        }
    }

    @Test func oneDaemonPerStore() throws {
        let folder = try TemporaryFolder()
        let first = try recorder(folder.store, Sink())
        #expect { try self.recorder(folder.store, Sink()) } throws: { ($0 as? EventStoreError)?.kind == .inUse }
        first.close()
    }

    @Test func openEventsAreEnded() throws {
        let folder = try TemporaryFolder()
        let first = try recorder(folder.store, Sink())
        first.record(Fixture.event(.onset, "ended"))
        first.record(Fixture.event(.offset, "ended"))
        first.record(Fixture.event(.onset, "open", onset: 5000))
        first.close()
        let sink = Sink()
        let second = try recorder(folder.store, sink)
        second.endOpenEvents()
        second.record(Fixture.gap())
        second.close()
        let offset = try EventMessage(line: try #require(sink.all.first).line)
        #expect(
            offset.kind == .offset && offset.event == "open" && offset.reason == "restart" && sink.all[0].sequence == 4)
        #expect(offset.offset == Timestamp(millisecondsSinceEpoch: 5750), "the last that is known of it")
        let third = try recorder(folder.store, Sink())
        third.endOpenEvents()
        third.close()
        #expect(try stored(folder.store).count == 5)
    }

    @Test func fullDisk() async throws {
        guard let disk = try SmallDisk(bytes: 16_000_000) else { return }
        let configuration = EventStore.Configuration(path: disk.path + "/events.db")
        let sink = Sink()
        let recorder = try recorder(configuration, sink)
        for _ in 0..<100 { recorder.record(Fixture.gap()) }
        try await Fixture.wait("storing") { sink.all.count == 100 }
        try disk.fill()
        for _ in 0..<1000 { recorder.record(Fixture.event(padding: 2000)) }
        try await Fixture.wait("handing on in spite of the full disk") { sink.all.count == 1100 }
        let full = recorder.status
        #expect(
            full.state == .full && full.notStored == 0 && full.pending > 0 && full.problem?.contains("no room") == true)
        // Readers of the past get what waits as well.
        var position: Int64 = 0
        while let page = try? recorder.messages(after: position, limit: 64), let last = page.last {
            #expect(page.map(\.sequence) == Array(position + 1...last.sequence))
            position = last.sequence
        }
        #expect(position == 1100)
        disk.free()
        try await Fixture.wait("storing again") { recorder.status.state == .ok }
        recorder.record(Fixture.gap())
        recorder.close()
        #expect(sink.all.map(\.sequence) == Array(1...1101))
        #expect(try stored(configuration) == sink.all)
    }

    @Test func backlogIsBounded() async throws {
        guard let disk = try SmallDisk(bytes: 16_000_000) else { return }
        let configuration = EventStore.Configuration(path: disk.path + "/events.db")
        let sink = Sink()
        let recorder = try recorder(configuration, sink) { $0.backlog = 200 }
        recorder.record(Fixture.gap())
        try await Fixture.wait("storing") { sink.all.count == 1 }
        try disk.fill()
        for index in 0..<1000 {
            recorder.record(Fixture.event(padding: 3000))
            try await Fixture.wait("handing on") { sink.all.count == index + 2 }
        }
        let full = recorder.status
        #expect(full.state == .full && full.pending == 200 && full.notStored > 0)
        disk.free()
        try await Fixture.wait("storing again") { recorder.status.state == .ok }
        recorder.close()
        let sequences = try stored(configuration).map(\.sequence)
        #expect(sequences.count == 1001 - full.notStored && sequences.suffix(200) == Array(802...1001)[...])
    }

    /// Killed while the disk was full: the store does not know the last numbers, and they are not given out again.
    @Test func numbersAreKnownWithoutTheStore() async throws {
        guard let disk = try SmallDisk(bytes: 16_000_000) else { return }
        let configuration = EventStore.Configuration(path: disk.path + "/events.db")
        let sink = Sink()
        let recorder = try recorder(configuration, sink)
        recorder.record(Fixture.gap())
        try await Fixture.wait("storing") { sink.all.count == 1 }
        try disk.fill()
        for _ in 0..<1000 { recorder.record(Fixture.event(padding: 3000)) }
        try await Fixture.wait("handing on") { sink.all.count == 1001 }
        #expect(recorder.status.state == .full)
        // What a killed daemon leaves, on a disk with room.
        let folder = try TemporaryFolder()
        for name in ["events.db", "events.db-wal", "events.db-seq"] {
            try FileManager.default.copyItem(atPath: "\(disk.path)/\(name)", toPath: folder.file(name))
        }
        let next = try self.recorder(folder.store, Sink())
        #expect(next.lastSequence >= 1001 && next.lastSequence < 1001 + 2 * SequenceLimit.block)
        next.close()
        disk.free()
        recorder.close()
    }

    /// The disk is full before there is a store at all.
    @Test func fullFromTheStart() async throws {
        guard let disk = try SmallDisk(bytes: 1_000_000) else { return }
        try disk.fill()
        let configuration = EventStore.Configuration(path: disk.path + "/events.db")
        let sink = Sink()
        let recorder = try recorder(configuration, sink)
        for _ in 0..<10 { recorder.record(Fixture.gap()) }
        try await Fixture.wait("handing on") { sink.all.count == 10 }
        #expect(recorder.status.state == .full && recorder.status.pending == 10)
        disk.free()
        try await Fixture.wait("storing") { recorder.status.state == .ok }
        recorder.close()
        #expect(try stored(configuration) == sink.all)
    }

    enum Damage: CaseIterable {
        case header, middle, truncated, empty, text
    }

    @Test(arguments: Damage.allCases) func damagedStoreIsSetAside(damage: Damage) async throws {
        let folder = try TemporaryFolder()
        let path = folder.store.path
        let first = try recorder(folder.store, Sink())
        for index in 0..<2000 { first.record(Fixture.event(.onset, "e\(index)", padding: 200)) }
        first.close()
        var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        try #require(bytes.count > 300_000)
        var generator = SystemRandomNumberGenerator()
        switch damage {
        case .header:
            bytes.replaceSubrange(0..<100, with: (0..<100).map { _ in UInt8.random(in: 0...255, using: &generator) })
        case .middle:
            // Whole pages but for the first: the root pages and leaves of all tables.
            for index in 4096..<bytes.count { bytes[index] = UInt8.random(in: 0...255, using: &generator) }
        case .truncated: bytes.removeLast(bytes.count / 2)
        case .empty: bytes = []
        case .text: bytes = Array("this is not a database, whatever its name says".utf8)
        }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        let sink = Sink()
        let second = try recorder(folder.store, sink)
        #expect(second.lastSequence >= 2000, "no number twice")
        second.record(Fixture.gap())
        try await Fixture.wait("handing on") { sink.all.count == 1 }
        if damage != .empty {
            try await Fixture.wait("setting aside") { second.status.setAside != nil }
            let aside = try #require(second.status.setAside)
            #expect(aside.hasPrefix(path + ".damaged-") && FileManager.default.fileExists(atPath: aside))
        }
        second.record(Fixture.gap())
        try await Fixture.wait("handing on") { sink.all.count == 2 }
        second.close()
        #expect(sink.all[1].sequence == sink.all[0].sequence + 1)
        let reader = try EventStoreReader(path: path)
        #expect(try reader.isIntact() && reader.lastSequence() == sink.all[1].sequence)
    }
}
