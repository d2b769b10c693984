import EventMessages
import Foundation
import Testing

@testable import EventServer

/// The socket's file: what is replaced, what is not, and its rights.
@Suite struct SocketFileTests {
    private func server(_ path: String, mode: UInt32 = 0o660, group: String? = nil) -> EventServer {
        var configuration = EventServer.Configuration(socketPath: path)
        configuration.mode = mode
        configuration.group = group
        return EventServer(configuration: configuration, providers: Fixture.providers, logger: Fixture.silentLogger)
    }

    private func failure(_ path: String, group: String? = nil) async -> String {
        let server = server(path, group: group)
        do {
            try await server.start()
            await server.stop()
            Issue.record("started on \(path)")
            return ""
        } catch {
            return "\(error)"
        }
    }

    private func status(_ path: String) throws -> stat {
        var status = stat()
        try #require(lstat(path, &status) == 0)
        return status
    }

    @Test(arguments: [0o660, 0o600, 0o666] as [UInt32])
    func modeIsSet(mode: UInt32) async throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("e.sock")
        let server = server(path, mode: mode)
        try await server.start()
        #expect(try status(path).st_mode & 0o7777 == mode)
        await server.stop()
    }

    @Test func groupIsSet() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("e.sock")
        // Another group where that is allowed, else one's own.
        let group: gid_t = getuid() == 0 ? 1 : getgid()
        let server = server(path, group: String(group))
        try await server.start()
        #expect(try status(path).st_gid == group)
        await server.stop()
        let message = await failure(path, group: "no-such-group")
        #expect(message.contains("no-such-group"))
    }

    @Test func staleSocketIsReplaced() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("e.sock")
        let stale = try SocketFile(path: path, mode: 0o600, group: nil)
        close(stale.descriptor)
        #expect(access(path, F_OK) == 0)
        let server = server(path)
        try await server.start()
        _ = try Fixture.client(path)
        // The predecessor's late clean-up leaves the successor's file alone.
        stale.remove()
        #expect(access(path, F_OK) == 0)
        await server.stop()
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
    }

    @Test func liveSocketIsRefused() async throws {
        try await Fixture.withServer { _, path in
            let message = await failure(path)
            #expect(message.contains(path))
            #expect(message.contains("running already"))
            _ = try Fixture.client(path)
        }
    }

    @Test func otherFilesAreLeftAlone() async throws {
        let directory = try TemporaryDirectory()
        let file = directory.file("file")
        try Data("precious".utf8).write(to: URL(fileURLWithPath: file))
        #expect(await failure(file).contains("not a socket"))
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "precious")
        let link = directory.file("link")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: file)
        #expect(await failure(link).contains("not a socket"))
        #expect(await failure(directory.path).contains("not a socket"))
    }

    @Test func impossiblePathsAreNamed() async throws {
        let directory = try TemporaryDirectory()
        let long = directory.file(String(repeating: "x", count: 200))
        let message = await failure(long)
        #expect(message.contains("at most 107"))
        #expect(await failure("").contains("empty"))
        #expect(await failure(directory.file("missing/e.sock")).contains("does not exist"))
        try Data().write(to: URL(fileURLWithPath: directory.file("file")))
        #expect(await failure(directory.file("file/e.sock")).contains("not a directory"))
    }

    @Test func longestPathWorks() async throws {
        let directory = try TemporaryDirectory()
        let length = SocketFile.maximumPathLength - directory.path.utf8.count - 1
        let server = server(directory.file(String(repeating: "x", count: length)))
        try await server.start()
        _ = try Fixture.client(server.configuration.socketPath)
        await server.stop()
    }

    @Test func directoryIsMadeWhereRunFilesGo() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("earshot/e.sock")
        let file = try SocketFile(path: path, mode: 0o660, group: nil, runDirectories: [directory.path])
        #expect(try status(directory.file("earshot")).st_mode & S_IFMT == S_IFDIR)
        file.remove()
        close(file.descriptor)
    }

    @Test func serverStoppedTwiceOrNeverStartedIsFine() async throws {
        let directory = try TemporaryDirectory()
        let server = server(directory.file("e.sock"))
        await server.stop()
        server.publish(Fixture.gap())
        #expect(server.lastSequence == 1)
    }
}
