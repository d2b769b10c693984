import EventMessages
import Foundation
import GRDB
import Logging
import Synchronization
import Testing

@testable import EventStore

/// A folder that is removed with the value that owns it.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/earshot-store-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    var store: EventStore.Configuration { .init(path: file("events.db")) }
}

/// A small file system of its own in memory; nil where only root may make one.
final class SmallDisk: Sendable {
    let path: String
    private let folder: TemporaryFolder

    init?(bytes: Int) throws {
        folder = try TemporaryFolder()
        path = folder.file("disk")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        guard mount("tmpfs", path, "tmpfs", 0, "size=\(bytes)") == 0 else {
            print("EventStoreTests: skipped, no right to mount a small disk (root only)")
            return nil
        }
    }

    deinit { umount2(path, Int32(MNT_DETACH)) }

    /// Takes all room that is left.
    func fill() throws {
        let descriptor = open(path + "/filler", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        defer { close(descriptor) }
        let block = [UInt8](repeating: 1, count: 4096)
        while write(descriptor, block, block.count) > 0 {}
        #expect(errno == ENOSPC)
    }

    func free() { unlink(path + "/filler") }
}

enum Fixture {
    static let silentLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    static func event(
        _ kind: EventMessage.Kind = .onset, _ name: String = "e", label: String = "dog", source: String = "mic",
        score: Double = 0.5, onset: Int64 = 1_795_253_400_250, padding: Int = 0
    ) -> ServerMessage {
        .event(
            EventMessage(
                kind: kind, event: name, source: source, label: label, score: score,
                onset: Timestamp(millisecondsSinceEpoch: onset),
                offset: kind == .offset ? Timestamp(millisecondsSinceEpoch: onset + 1500) : nil, onsetSample: 7,
                duration: kind == .offset ? 1.5 : 0.75,
                top: padding == 0 ? [] : [RankedLabel(label: String(repeating: "x", count: padding), score: 0)]))
    }

    static func gap() -> ServerMessage {
        .gap(GapMessage(source: "mic", from: .now(), to: .now(), fromSample: 0, duration: 0, reason: "overrun"))
    }

    static func numbered(_ messages: [ServerMessage], from first: Int64 = 1) -> [SequencedMessage] {
        messages.enumerated().map { SequencedMessage($1, sequence: first + Int64($0)) }
    }

    /// Waits until a condition holds, which it does soon.
    static func wait(_ what: String, until condition: () throws -> Bool) async throws {
        for _ in 0..<3000 {
            if try condition() { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        Issue.record("\(what) has not come about")
    }
}

/// What a recorder handed on.
final class Sink: Sendable {
    private let messages = Mutex<[SequencedMessage]>([])
    var all: [SequencedMessage] { messages.withLock { $0 } }
    func take(_ new: [SequencedMessage]) { messages.withLock { $0 += new } }
}
