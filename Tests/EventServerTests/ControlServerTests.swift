import EventMessages
import Foundation
import Testing

@testable import EventServer

/// The control socket by its protocol alone.
@Suite struct ControlServerTests {
    private actor Performed {
        private(set) var requests: [ControlRequest] = []
        func append(_ request: ControlRequest) { requests.append(request) }
    }

    /// Runs a server that does nothing but remember; `reload` fails, and so does the threshold of "cat".
    private func withServer(
        _ configure: (inout ControlServer.Configuration) -> Void = { _ in },
        _ body: (String, Performed) async throws -> Void
    ) async throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("c.sock")
        var configuration = ControlServer.Configuration(socketPath: path)
        configure(&configuration)
        let performed = Performed()
        let server = ControlServer(
            configuration, logger: Fixture.silentLogger, hello: Fixture.providers.hello
        ) { request in
            await performed.append(request)
            switch request {
            case .reload: throw EventServerError("labels.txt:2: no")
            case .setThreshold("cat", _): throw ControlFailure("there is no label \"cat\"", field: "label")
            default: return ["done": true]
            }
        }
        try await server.start()
        do {
            try await body(path, performed)
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
        #expect(access(path, F_OK) != 0, "the socket file is removed")
    }

    /// A client that has read its hello.
    private func client(_ path: String) async throws -> TestClient {
        let client = try TestClient(path)
        await client.waitForInput()
        let hello = try client.message()
        #expect(hello["type"] as? String == "hello" && hello["seq"] == nil, "\(hello)")
        return client
    }

    /// The error that answers a request.
    private func error(
        _ client: TestClient, _ request: String
    ) async throws -> (code: String, message: String, field: String?) {
        try client.send(request + "\n")
        await client.waitForInput()
        return try client.error()
    }

    /// Whether a request is answered by what the server's owner gave.
    private func isDone(_ client: TestClient, _ request: String) async throws -> Bool {
        try client.send(request + "\n")
        await client.waitForInput()
        let result = try client.reply()["result"] as? [String: Any]
        return result?["done"] as? Bool == true
    }

    @Test func requestsAreReadAndCarriedOut() async throws {
        try await withServer { path, performed in
            var status = stat()
            #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
            let client = try await client(path)
            for request in [
                #"{"id":1,"method":"mute","params":{"labels":"dog*","seconds":60}}"#, #"{"id":2,"method":"unmute"}"#,
                #"{"id":3,"method":"unmute","params":{"labels":"dog*"}}"#,
                #"{"id":4,"method":"set_threshold","params":{"label":"dog","on":0.5}}"#, #"{"id":5,"method":"status"}"#,
            ] {
                #expect(try await isDone(client, request), "\(request)")
            }
            let requests = await performed.requests
            #expect(
                requests == [
                    .mute(labels: "dog*", seconds: 60), .unmute(labels: nil), .unmute(labels: "dog*"),
                    .setThreshold(label: "dog", on: 0.5), .status,
                ])
            // The last request needs no newline, and empty lines do no harm.
            try client.send("\n \n" + #"{"id":6,"method":"status"}"#)
            client.shutdownWriting()
            await client.waitForInput()
            #expect(try client.reply()["id"] as? Int == 6)
            await client.waitForInput()
            #expect(try client.line() == nil)
        }
    }

    @Test func failuresAreToldAndTheConnectionStays() async throws {
        try await withServer { path, _ in
            let client = try await client(path)
            func error(_ request: String) async throws -> (code: String, message: String, field: String?) {
                try await self.error(client, request)
            }
            #expect(try await error(#"{"method":"reload"}"#) == ("failed", "labels.txt:2: no", nil))
            let label = try await error(#"{"method":"set_threshold","params":{"label":"cat","on":0}}"#)
            #expect(label == ("invalid_params", "there is no label \"cat\"", "label"))
            for (parameters, field) in [
                (#"{"label":"dog"}"#, "on"), (#"{"on":0.5}"#, "label"), (#"{"label":"dog","on":1.5}"#, "on"),
                (#"{"label":7,"on":0.5}"#, "label"), (#"{"label":"","on":0.5}"#, "label"),
                (#"{"lable":"dog"}"#, "lable"),
            ] {
                let wrong = try await error(#"{"method":"set_threshold","params":\#(parameters)}"#)
                #expect(wrong.code == "invalid_params" && wrong.field == field, "\(parameters): \(wrong)")
            }
            for (parameters, field) in [
                (#"{"labels":"dog"}"#, "seconds"), (#"{"seconds":5}"#, "labels"),
                (#"{"labels":"dog","seconds":0}"#, "seconds"), (#"{"labels":"dog","seconds":1e9}"#, "seconds"),
                (#"{"labels":"dog","seconds":"5"}"#, "seconds"),
            ] {
                let wrong = try await error(#"{"method":"mute","params":\#(parameters)}"#)
                #expect(wrong.code == "invalid_params" && wrong.field == field, "\(parameters): \(wrong)")
            }
            let unknown = try await error(#"{"method":"subscribe"}"#)
            #expect(unknown.code == "unknown_method" && unknown.message.contains("set_threshold, mute"))
            #expect(try await error("{").code == "parse_error")
            #expect(try await error("[]").code == "invalid_request")
            #expect(try await error(String(repeating: "x", count: 70_000)).code == "line_too_long")
            #expect(try await isDone(client, #"{"method":"status"}"#))
        }
    }

    @Test func connectionsAreBounded() async throws {
        try await withServer({ $0.maximumClients = 1 }) { path, _ in
            let first = try await client(path)
            let second = try TestClient(path)
            await second.waitForInput()
            #expect(try second.error().code == "too_many_clients")
            await second.waitForInput()
            #expect(try second.line() == nil)
            #expect(try await isDone(first, #"{"method":"status"}"#))
        }
    }

    @Test func idleConnectionsAreClosed() async throws {
        try await withServer({ $0.idleTimeout = .milliseconds(200) }) { path, _ in
            let client = try TestClient(path)
            // The hello, where the server came to it in time, and then the end.
            await client.waitForInput()
            while try client.line() != nil { await client.waitForInput() }
        }
    }

    /// Only what a service manager can mean is served.
    @Test func passedDescriptorsMustListen() throws {
        let directory = try TemporaryDirectory()
        let made = try SocketFile(path: directory.file("a.sock"), mode: 0o600, group: nil)
        defer { close(made.descriptor) }
        let passed = try SocketFile(passed: made.descriptor)
        #expect(passed.path == made.path)
        passed.remove()
        #expect(access(made.path, F_OK) == 0, "the file is not the server's")
        for (family, type) in [(AF_UNIX, SOCK_STREAM), (AF_UNIX, SOCK_DGRAM), (AF_INET, SOCK_STREAM)] {
            let descriptor = socket(family, CInt(type.rawValue), 0)
            defer { close(descriptor) }
            #expect(throws: EventServerError.self) { try SocketFile(passed: descriptor) }
        }
        #expect(throws: EventServerError.self) { try SocketFile(passed: -1) }
    }

    /// The event socket names the other one.
    @Test func eventSocketRefusesControl() async throws {
        try await Fixture.withServer { _, path in
            let client = try Fixture.client(path)
            for method in ["reload", "set_threshold", "mute", "unmute"] {
                try client.send(#"{"method":"\#(method)","params":{}}"# + "\n")
                let error = try client.error()
                #expect(error.code == "unknown_method" && error.message.contains("control socket"), "\(error)")
            }
        }
    }
}
