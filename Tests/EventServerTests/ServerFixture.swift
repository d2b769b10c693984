import EventMessages
import Foundation
import Logging
import Testing

@testable import EventServer

/// A folder of its own for sockets, removed at the end.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/earshot-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw TestClient.Failure(description: "mkdtemp: \(errno)") }
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }
}

enum Fixture {
    static let providers = EventServer.Providers(
        hello: { HelloInformation(version: "1.2.3", model: "test", labels: ["dog", "siren"], sources: ["mic0"]) },
        status: { ["model": "test", "audio_seconds": .decimal(12.5)] },
        labels: { [LabelSummary(label: "dog", prompts: ["This is a sound of dog."], threshold: 0.5)] })

    static let silentLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Runs a server on a socket of its own and stops it at the end.
    static func withServer(
        _ configure: (inout EventServer.Configuration) -> Void = { _ in }, providers: EventServer.Providers = providers,
        _ body: (EventServer, String) async throws -> Void
    ) async throws {
        let directory = try TemporaryDirectory()
        var configuration = EventServer.Configuration(socketPath: directory.file("e.sock"))
        configure(&configuration)
        let server = EventServer(
            configuration: configuration, providers: providers,
            logger: silentLogger)
        try await server.start()
        do {
            try await body(server, configuration.socketPath)
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
        #expect(access(configuration.socketPath, F_OK) != 0, "the socket file is removed")
    }

    /// A client that has read its hello, so that it is known to be subscribed.
    static func client(_ path: String) throws -> TestClient {
        let client = try TestClient(path)
        let hello = try client.message()
        #expect(hello["type"] as? String == "hello")
        return client
    }

    static func event(
        _ kind: EventMessage.Kind = .onset, label: String = "dog", source: String = "mic0", score: Double = 0.83,
        event: String = "e1"
    ) -> ServerMessage {
        .event(
            EventMessage(
                kind: kind, event: event, source: source, label: label, score: score,
                onset: Timestamp(millisecondsSinceEpoch: 1_795_253_400_250),
                offset: kind == .offset ? Timestamp(millisecondsSinceEpoch: 1_795_253_402_000) : nil,
                onsetSample: 512_000, duration: 1.75, levelDecibels: -31.26,
                top: [RankedLabel(label: "dog", score: 0.83), RankedLabel(label: "siren", score: 0.1)]))
    }

    static func gap(source: String = "mic0") -> ServerMessage {
        .gap(
            GapMessage(
                source: source, from: Timestamp(millisecondsSinceEpoch: 1000),
                to: Timestamp(millisecondsSinceEpoch: 1500),
                fromSample: 32_000, duration: 0.5, reason: "overrun"))
    }
}

/// SplitMix64: the same numbers in each run.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
