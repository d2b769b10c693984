import EventClient
import EventMessages
import EventStore
import Foundation
import Synchronization

/// Samples written to the daemon so far.
final class FedSamples: Sendable {
    private let counter = Atomic(0)
    var count: Int { counter.load(ordering: .relaxed) }
    fileprivate func add(_ count: Int) { counter.wrappingAdd(count, ordering: .relaxed) }
}

/// `earshotd` with raw audio on its standard input.
final class SoakedDaemon: @unchecked Sendable {
    private let process = Process()
    private let input = Pipe()
    private let socket: String
    private let store: String
    private let received = Atomic(0)

    /// What a subscriber got.
    struct Heard: Sendable {
        var messages = 0
        var lastSequence = 0
        var holes = 0
        var lagged = 0
        var onsets = 0
        var offsets = 0
        var gaps = 0
        /// Updates and offsets of events whose onset did not come.
        var unmatched = 0
        var open: Set<String> = []
    }

    /// From the reply to `status`.
    struct Status: Sendable {
        var audioSeconds = 0.0
        var gaps = 0
        var lostSeconds = 0.0
        var events = 0
        var sequence = 0
        var hasEnded = false
    }

    /// Starts it and waits for its socket.
    init(folder: ScratchFolder, labels: String) throws {
        socket = folder.file("e.sock")
        store = folder.file("events.db")
        process.executableURL = try siblingProgram("earshotd")
        process.arguments = [
            "--source", "-", "--rate", "32000", "--labels", labels, "--socket", socket, "--cache", folder.file("cache"),
            "--store", store, "--log-level", "error",
        ]
        process.standardInput = input
        try process.run()
        try? input.fileHandleForReading.close()
        let deadline = ContinuousClock.now + .seconds(60)
        while !FileManager.default.fileExists(atPath: socket) {
            guard process.isRunning, ContinuousClock.now < deadline else { throw Failure("earshotd did not start") }
            usleep(20_000)
        }
    }

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    /// Messages that the subscriber has got.
    var messageCount: Int { received.load(ordering: .relaxed) }

    func figures() throws -> ProcessFigures { try ProcessFigures(of: process.processIdentifier) }

    /// Writes the samples again and again on a thread of its own until `total` are written, then closes the input.
    func feed(_ samples: [Float], total: Int) -> FedSamples {
        let fed = FedSamples()
        let words = samples.map { Int16(max(-32_768, min(32_767, ($0 * 32_768).rounded()))).littleEndian }
        let descriptor = input.fileHandleForWriting.fileDescriptor
        Thread.detachNewThread { [input] in
            words.withUnsafeBytes { bytes in
                var left = 2 * total
                var offset = 0
                while left > 0 {
                    let count = write(descriptor, bytes.baseAddress! + offset, min(65_536, bytes.count - offset, left))
                    if count < 0, errno == EINTR { continue }
                    guard count > 0 else { break }
                    left -= count
                    offset = (offset + count) % bytes.count
                    fed.add(total - left / 2 - fed.count)
                }
            }
            try? input.fileHandleForWriting.close()
        }
        return fed
    }

    /// Subscribes to everything until the daemon closes.
    func listen() async throws -> Heard {
        let heard = Mutex(Heard())
        try await EventClient.run(socketPath: socket, requests: []) { [self] line in
            guard let message = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] else {
                throw Failure("not a message: \(line)")
            }
            heard.withLock { Self.take(message, into: &$0) }
            received.wrappingAdd(1, ordering: .relaxed)
            return true
        }
        return heard.withLock { $0 }
    }

    private static func take(_ message: [String: Any], into heard: inout Heard) {
        let type = message["type"] as? String ?? ""
        if let sequence = message["seq"] as? Int {
            if type != "hello" {
                heard.messages += 1
                if sequence != heard.lastSequence + 1 { heard.holes += 1 }
            }
            heard.lastSequence = sequence
        }
        let event = message["event"] as? String ?? ""
        switch type {
        case "lagged": heard.lagged += 1
        case "gap": heard.gaps += 1
        case "onset":
            heard.onsets += 1
            heard.open.insert(event)
        case "update": if !heard.open.contains(event) { heard.unmatched += 1 }
        case "offset":
            heard.offsets += 1
            if heard.open.remove(event) == nil { heard.unmatched += 1 }
        default: break
        }
    }

    /// Waits until the source has ended, which it does when all audio was worked on.
    func endOfAudio(seconds: Double) async throws -> Status {
        let deadline = ContinuousClock.now + .seconds(120)
        while true {
            let status = try await status()
            if status.hasEnded { return status }
            guard ContinuousClock.now < deadline, process.isRunning else {
                throw Failure("the source has not ended: \(status.audioSeconds) s of \(seconds) s")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    private func status() async throws -> Status {
        let answer = Mutex(Status())
        try await EventClient.run(socketPath: socket, requests: [#"{"id":"status","method":"status"}"#]) { line in
            guard let reply = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
                let result = reply["result"] as? [String: Any],
                let source = (result["sources"] as? [[String: Any]])?.first,
                let server = result["server"] as? [String: Any]
            else { return true }
            let status = Status(
                audioSeconds: (source["audio_seconds"] as? NSNumber)?.doubleValue ?? 0,
                gaps: source["gaps"] as? Int ?? -1,
                lostSeconds: (source["lost_seconds"] as? NSNumber)?.doubleValue ?? -1,
                events: source["events"] as? Int ?? -1, sequence: server["seq"] as? Int ?? -1,
                hasEnded: source["state"] as? String == "ended")
            answer.withLock { $0 = status }
            return false
        }
        return answer.withLock { $0 }
    }

    /// How many messages its store holds, to be asked when it has ended.
    func storedCount() throws -> Int {
        let reader = try EventStoreReader(path: store)
        var count = 0
        var last: Int64 = 0
        while true {
            let page = try reader.messages(after: last, limit: 1000)
            guard let end = page.last else { return count }
            count += page.count
            last = end.sequence
        }
    }

    /// Ends it as a service manager does.
    ///
    /// - Returns: Its exit status.
    func stop() async -> Int32 {
        process.terminate()
        return await withCheckedContinuation { continuation in
            Thread.detachNewThread { [process] in
                process.waitUntilExit()
                continuation.resume(returning: process.terminationReason == .exit ? process.terminationStatus : -1)
            }
        }
    }
}
