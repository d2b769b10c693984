import Foundation
import GRDB
import Synchronization
import TestSupport
import Testing

/// The daemon is killed at random moments under load, again and again. Clients that resume by `since` get every message
/// once and in order, and the store is sound each time. `KILLS=200` is what `make test-kill` runs.
@Suite(.serialized, .enabled(if: Product.isBuilt, "the programs are not built")) struct KillTests {
    private static let kills = ProcessInfo.processInfo.environment["KILLS"].flatMap { Int($0) } ?? 5

    @Test func nothingIsLostWhenKilled() async throws {
        let place = try Workplace()
        let store = place.folder.file("events.db")
        let file = try place.folder.write("bursts.wav", waveFile(noise(seconds: 1.5) + silence(seconds: 1)))
        let configuration = try place.folder.write(
            "earshot.yaml",
            """
            sources:
              - {name: kitchen, device: \(file), labels: [dog, rain], loop: true}
              - {name: street, device: \(file), labels: [siren], loop: true}
            detection: {update_interval: 0.16, cooldown: 0, minimum_gap: 0}
            store: {path: \(store), maximum_size: 10GB}
            """)
        let socket = place.folder.file("e.sock")
        let clients = [
            ResumingClient(socket), ResumingClient(socket), ResumingClient(socket, filter: #""labels":["siren"],"#),
        ]
        var restarts: [Duration] = []
        for kill in 1...Self.kills {
            let begin = ContinuousClock.now
            let daemon = try await TestDaemon(place, ["--config", configuration])
            restarts.append(.now - begin)
            // From before the first messages to well into the load.
            try await Task.sleep(for: .milliseconds(Int.random(in: 0...600)))
            daemon.program.send(SIGKILL)
            #expect(try await daemon.program.exit() == .signal(SIGKILL))
            // Read-only: the daemon's own opening is what has to repair.
            let verdict = try check(store)
            #expect(verdict == "ok", "after kill \(kill): \(verdict)")
            #expect(clients.allSatisfy { $0.problem == nil }, "after kill \(kill): \(clients.compactMap(\.problem))")
        }
        // A last run to its good end, so that the clients can come to the last number.
        let daemon = try await TestDaemon(place, ["--config", configuration])
        try await Task.sleep(for: .milliseconds(300))
        try await daemon.stop()
        let lines = try storedLines(store)
        let last = try await TestDaemon(
            place, ["--labels", try place.labelFile("dog"), "--source", "-", "--store", store], hasInput: true)
        for client in clients { try await client.wait(for: lines.count) }
        try await last.stop()
        for client in clients { client.stop() }

        #expect(lines.map(\.sequence) == Array(1...Int64(lines.count)))
        for client in clients {
            #expect(client.problem == nil)
            let expected =
                client.isFiltered
                ? lines.filter { !$0.text.contains(#""label":"#) || $0.text.contains(#""label":"siren""#) } : lines
            #expect(
                client.received.prefix(expected.count) == expected.map(\.text.hashValue)[...],
                "as many and the same as stored")
        }
        let marks = clients.map { "\($0.connections) connections, \($0.received.count) messages" }
        let slowest = restarts.max() ?? .zero
        print(
            "KillTests: \(Self.kills) kills, \(lines.count) messages stored; clients: \(marks); slowest start \(slowest)"
        )
        #expect(lines.count > Self.kills, "there was load")
    }

    private func check(_ path: String) throws -> String {
        var configuration = Configuration()
        configuration.readonly = true
        return try DatabaseQueue(path: path, configuration: configuration).read {
            try String.fetchAll($0, sql: "PRAGMA integrity_check").joined(separator: "; ")
        }
    }

    private func storedLines(_ path: String) throws -> [(sequence: Int64, text: String)] {
        var configuration = Configuration()
        configuration.readonly = true
        return try DatabaseQueue(path: path, configuration: configuration).read { db in
            try Row.fetchAll(db, sql: "SELECT seq, line FROM message ORDER BY seq").map { ($0[0], $0[1]) }
        }
    }
}

/// A client that connects as soon as there is a daemon, asks for what came after the last number it has, and so on for ever.
private final class ResumingClient: Sendable {
    private struct State {
        var last: Int64 = 0
        var received: [Int] = []
        var connections = 0
        var problem: String?
        var isStopped = false
        var descriptor: Int32?
    }

    let isFiltered: Bool
    private let socketPath: String
    private let filter: String
    private let state = Mutex(State())

    init(_ socketPath: String, filter: String = "") {
        self.socketPath = socketPath
        self.filter = filter
        isFiltered = !filter.isEmpty
        Thread.detachNewThread { self.run() }
    }

    var received: [Int] { state.withLock { $0.received } }
    var problem: String? { state.withLock { $0.problem } }
    var connections: Int { state.withLock { $0.connections } }

    func stop() {
        state.withLock { state in
            state.isStopped = true
            if let descriptor = state.descriptor { shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
    }

    /// Waits until it has the message with that number or a later one.
    func wait(for sequence: Int) async throws {
        let deadline = ContinuousClock.now + .seconds(120)
        while state.withLock({ $0.last < sequence && $0.problem == nil }) {
            guard ContinuousClock.now < deadline else {
                throw Failure("a client is at \(state.withLock { $0.last }), not \(sequence)")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    private func run() {
        while !state.withLock({ $0.isStopped || $0.problem != nil }) {
            let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            defer { close(descriptor) }
            guard withSocketAddress(socketPath, { connect(descriptor, $0, $1) }) == 0 else {
                usleep(5000)
                continue
            }
            state.withLock { state in
                state.connections += 1
                state.descriptor = descriptor
            }
            converse(descriptor)
            state.withLock { $0.descriptor = nil }
        }
    }

    /// One connection, until the daemon is gone or a hole makes it ask again.
    private func converse(_ descriptor: Int32) {
        let since = state.withLock { $0.last }
        let request = #"{"id":1,"method":"subscribe","params":{\#(filter)"since":\#(since)}}"# + "\n"
        guard send(descriptor, request, request.utf8.count, Int32(MSG_NOSIGNAL)) == request.utf8.count else { return }
        var isSubscribed = false
        var pending: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(descriptor, &chunk, chunk.count, 0)
            // What is cut off by the end is no message.
            guard count > 0 else { return }
            pending += chunk[..<count]
            var begin = 0
            while let end = pending[begin...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: pending[begin..<end], as: UTF8.self)
                begin = end + 1
                if isSubscribed {
                    guard take(line) else { return }
                } else if line.hasPrefix(#"{"id":1,"#) {
                    guard line.contains("result") else { return fail("refused after \(since): \(line)") }
                    isSubscribed = true
                }
            }
            pending.removeFirst(begin)
        }
    }

    /// - Returns: Whether to go on with this connection.
    private func take(_ line: String) -> Bool {
        guard let object = try? jsonObject(line) else {
            fail("not JSON: \(line)")
            return false
        }
        if object["type"] as? String == "lagged" {
            // A reader too slow for the load asks again; what is lost would be an error.
            if object["lost"] as? Bool == true { fail(line) }
            return false
        }
        guard let sequence = (object["seq"] as? NSNumber)?.int64Value else {
            fail("no number: \(line)")
            return false
        }
        return state.withLock { state in
            guard isFiltered ? sequence > state.last : sequence == state.last + 1 else {
                state.problem = "\(state.last) is followed by \(line)"
                return false
            }
            state.last = sequence
            state.received.append(line.hashValue)
            return true
        }
    }

    private func fail(_ problem: String) {
        state.withLock { if $0.problem == nil { $0.problem = problem } }
    }
}
