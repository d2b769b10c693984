import Foundation
import Synchronization
import TestSupport
import Testing

@testable import AudioEmbedding

/// Collects log lines from any thread.
final class LogLines: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    @Sendable func append(_ line: String) { lines.withLock { $0.append(line) } }
}

@Suite struct SentenceCacheTests {
    private static let name = "sentences.safetensors"

    /// A store of made-up embeddings that depend on the sentence only.
    private func store(_ sentences: [String], identity: String = "A") -> SentenceStore {
        var store = SentenceStore(identity: identity)
        for sentence in sentences {
            let seed = sentence.utf8.reduce(UInt64(7)) { $0 &* 31 &+ UInt64($1) }
            var generator = SeededGenerator(seed: seed)
            store.set(sentence, to: SentenceStore.rounded(generator.floats(384)))
        }
        return store
    }

    @Test func roundTrip() throws {
        try withTemporaryDirectory { folder in
            let sentences = ["dog", "", "é", "狗 \"quoted\" \\ \u{1F469}\u{200D}\u{1F692}", "a\nb"]
            let original = store(sentences)
            let path = "\(folder)/x.safetensors"
            try original.write(to: path)
            let read = try SentenceStore(path: path)
            #expect(read.identity == "A")
            #expect(read.sentences == sentences)
            for sentence in sentences { #expect(read.embedding(of: sentence) == original.embedding(of: sentence)) }
            #expect(read.embedding(of: "cat") == nil)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["x.safetensors"])
            // The same content is the same file.
            let first = try Data(contentsOf: URL(fileURLWithPath: path))
            try read.write(to: path)
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == first)
        }
    }

    @Test func addsToWhatIsThere() throws {
        try withTemporaryDirectory { folder in
            let log = LogLines()
            let cache = SentenceCache(directory: "\(folder)/made/on/demand", log: log.append)
            #expect(cache.load(identity: nil) == nil)
            cache.add(store(["dog", "cat"]))
            cache.add(store(["owl", "dog"]))
            let loaded = try #require(cache.load(identity: "A"))
            #expect(loaded.sentences == ["dog", "cat", "owl"])
            #expect(log.all == [])
        }
    }

    @Test func anotherTextEncoderReplacesIt() throws {
        try withTemporaryDirectory { folder in
            let log = LogLines()
            let cache = SentenceCache(directory: folder, log: log.append)
            cache.add(store(["dog"]))
            #expect(cache.load(identity: "B") == nil)
            cache.add(store(["cat"], identity: "B"))
            #expect(cache.load(identity: nil)?.sentences == ["cat"])
            #expect(log.all.allSatisfy { $0.hasSuffix("is of another text encoder and will be replaced") })
        }
    }

    @Test func keepsTheNewest() {
        var kept = store((0..<50).map(String.init))
        kept.dropFirst(downTo: 20)
        #expect(kept.sentences == (30..<50).map(String.init))
        #expect(kept.embedding(of: "29") == nil)
        #expect(kept.embedding(of: "49") == store(["49"]).embedding(of: "49"))
    }

    /// Whatever is in the file's place, it is ignored with one line and replaced.
    @Test(arguments: ["empty", "garbage", "truncated", "flipped", "header", "foreign", "sentences"])
    func damagedFilesAreRebuilt(damage: String) throws {
        try withTemporaryDirectory { folder in
            let log = LogLines()
            let cache = SentenceCache(directory: folder, log: log.append)
            cache.add(store(["dog", "cat"]))
            let path = "\(folder)/\(Self.name)"
            var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
            switch damage {
            case "empty": bytes = []
            case "garbage": bytes = (0..<4000).map { UInt8(truncatingIfNeeded: $0 &* 97) }
            case "truncated": bytes.removeLast(700)
            case "flipped": bytes[bytes.count - 500] ^= 0x10
            case "header": bytes[40] ^= 0xFF
            case "foreign": bytes = safetensors([("x", [1], [1])])
            default:
                // Fewer sentences than rows.
                let text = String(decoding: bytes[8...], as: Unicode.ASCII.self)
                let range = try #require(text.range(of: #"[\"dog\",\"cat\"]"#))
                let offset = text.utf8.distance(from: text.startIndex, to: range.lowerBound) + 8
                bytes.replaceSubrange(offset..<offset + 17, with: Array(#"[\"dog.....cat\"]"#.utf8))
            }
            try write(bytes, to: path)
            #expect(cache.load(identity: "A") == nil)
            #expect(log.all.count == 1)
            #expect(log.all.first?.hasPrefix("label cache ignored and rebuilt: \(path)") == true, "\(log.all)")
            cache.add(store(["owl"]))
            #expect(cache.load(identity: "A")?.sentences == ["owl"])
        }
    }

    @Test func unwritableFoldersCostOnlyALine() throws {
        try withTemporaryDirectory { folder in
            let log = LogLines()
            try write([1], to: "\(folder)/file")
            SentenceCache(directory: "\(folder)/file/below", log: log.append).add(store(["dog"]))
            #expect(log.all.count == 1 && log.all[0].hasPrefix("label cache not written: \(folder)/file/below"))
            // A folder where the file should be.
            try FileManager.default.createDirectory(
                atPath: "\(folder)/\(Self.name)/x", withIntermediateDirectories: true)
            SentenceCache(directory: folder, log: log.append).add(store(["dog"]))
            #expect(log.all.last?.hasPrefix("label cache not written: ") == true)
            #expect(log.all.allSatisfy { !$0.contains("\n") })
        }
    }

    @Test func aHeldLockIsNotWaitedForForEver() throws {
        try withTemporaryDirectory { folder in
            let lock = open("\(folder)/\(Self.name).lock", O_RDWR | O_CREAT, 0o644)
            defer { close(lock) }
            #expect(flock(lock, LOCK_EX) == 0)
            let log = LogLines()
            SentenceCache(directory: folder, lockAttempts: 3, log: log.append).add(store(["dog"]))
            #expect(log.all.first?.hasSuffix("held by another process") == true)
        }
    }

    // MARK: several writers

    private static let writerKey = "EARSHOT_TEST_CACHE_WRITER"
    private static let writesPerWriter = 12

    /// What each process of the next test does; a test of its own without effect otherwise.
    @Test func cacheWriterProcess() throws {
        guard let job = ProcessInfo.processInfo.environment[Self.writerKey] else { return }
        let fields = job.split(separator: ":", maxSplits: 1)
        let cache = SentenceCache(directory: String(fields[1]), lockAttempts: 10_000) { print($0) }
        for index in 0..<Self.writesPerWriter { cache.add(store(["\(fields[0]) \(index)", "common \(index)"])) }
    }

    @Test func processesWriteAtTheSameTime() throws {
        try withTemporaryDirectory { folder in
            let writers = try (0..<4).map { number in
                let process = Process()
                process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
                process.arguments = ["--testing-library", "swift-testing", "--filter", "cacheWriterProcess"]
                process.environment = ProcessInfo.processInfo.environment.merging(
                    [Self.writerKey: "writer \(number):\(folder)"]) { $1 }
                process.standardOutput = FileHandle.nullDevice
                process.standardError = FileHandle.nullDevice
                try process.run()
                return process
            }
            // A reader meanwhile never sees a damaged file.
            let log = LogLines()
            let cache = SentenceCache(directory: folder, log: log.append)
            while writers.contains(where: \.isRunning) { _ = cache.load(identity: "A") }
            for writer in writers {
                writer.waitUntilExit()
                #expect(writer.terminationStatus == 0)
            }
            #expect(log.all == [])
            let stored = Set(try #require(cache.load(identity: "A")).sentences)
            for index in 0..<Self.writesPerWriter {
                #expect(stored.contains("common \(index)"))
                for number in 0..<4 { #expect(stored.contains("writer \(number) \(index)")) }
            }
        }
    }
}
