import Foundation
import Logging
import TestSupport
import Testing

@testable import MetricsServer

@Suite struct MetricsServerTests {
    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Runs a server on a port of its own and stops it at the end.
    private func withServer(
        _ configure: (inout MetricsServer.Configuration) -> Void = { _ in }, helpLength: Int = 10,
        delay: Duration = .zero,
        _ body: (MetricsServer, HTTPClient.Address) async throws -> Void
    ) async throws {
        var configuration = MetricsServer.Configuration(address: .tcp(host: "127.0.0.1", port: 0))
        configure(&configuration)
        let server = MetricsServer(configuration, logger: Self.logger) {
            try? await Task.sleep(for: delay)
            var family = MetricFamily("up", .gauge, String(repeating: "x", count: helpLength))
            family.add(1)
            return [family]
        }
        try await server.start()
        do {
            switch configuration.address {
            case .unix(let path, _, _): try await body(server, .unix(path))
            default: try await body(server, .tcp(try #require(server.port)))
            }
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }

    @Test func metricsAreServed() async throws {
        try await withServer { _, address in
            for request in ["GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "GET /metrics?name=x HTTP/1.0\r\n\r\n"] {
                let reply = try await HTTPClient(address).exchange(request)
                #expect(reply.status == 200)
                #expect(reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
                #expect(reply.headers["content-length"] == "\(reply.body.utf8.count)")
                #expect(try Exposition(reply.body)["up"] == 1)
            }
            let head = try await HTTPClient(address).exchange("HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(head.status == 200 && head.body.isEmpty)
        }
    }

    /// As `printf … | nc -N` does it. The answer takes longer than the news that the client sends no more.
    @Test func clientsMayCloseTheirHalfFirst() async throws {
        try await withServer(delay: .milliseconds(100)) { _, address in
            let reply = try await HTTPClient(address).exchange("GET /metrics HTTP/1.0\r\n\r\n", closing: true)
            #expect(reply.status == 200)
            let silent = try HTTPClient(address)
            try silent.endOutput()
            try await silent.expectEnd()
        }
    }

    @Test func otherRequestsAreRefused() async throws {
        try await withServer { _, address in
            for path in ["/", "/metrics/", "/status", "*"] {
                let reply = try await HTTPClient(address).exchange("GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(reply.status == 404 && reply.body.contains("/metrics"), "\(path)")
            }
            for method in ["POST", "DELETE", "PUT"] {
                let reply = try await HTTPClient(address).exchange(
                    "\(method) /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
                #expect(reply.status == 405 && reply.headers["allow"] == "GET, HEAD", "\(method)")
            }
            let noise = try await HTTPClient(address).exchange("hello\r\n\r\n")
            #expect(noise.status == 400)
            // A body that never comes, and a second request, change nothing.
            let reply = try await HTTPClient(address).exchange(
                "GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
            #expect(reply.status == 200)
        }
    }

    @Test func connectionsAreBounded() async throws {
        try await withServer({ $0.maximumConnections = 2 }) { _, address in
            var idle = try (0..<2).map { _ in try HTTPClient(address) }
            // Both are known to the server once a third is turned away.
            try await HTTPClient(address).expectEnd()
            idle.removeAll()
            var reply: HTTPClient.Reply?
            for _ in 0..<200 where reply == nil {
                reply = try? await HTTPClient(address).exchange("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            }
            #expect(reply?.status == 200)
        }
    }

    @Test func slowClientsAreClosed() async throws {
        try await withServer({ $0.timeout = .milliseconds(300) }, helpLength: 32 << 20) { _, address in
            let silent = try HTTPClient(address)
            let halfway = try HTTPClient(address)
            try halfway.send("GET /metrics HTTP/1.1\r\nHost:")
            let deaf = try HTTPClient(address)
            try deaf.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            try await silent.expectEnd()
            try await halfway.expectEnd()
            // It took what the kernel held and no more.
            let taken = try await deaf.receiveAll(after: silent).count
            #expect(taken < 32 << 20)
        }
    }

    @Test func unixSocketIsServedAndRemoved() async throws {
        let path = NSTemporaryDirectory() + "earshot-metrics-\(getpid()).sock"
        try await withServer({ $0.address = .unix(path: path, mode: 0o600, group: nil) }) { _, address in
            let reply = try await HTTPClient(address).exchange("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(reply.status == 200)
            var status = stat()
            #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
        }
        #expect(access(path, F_OK) != 0)
    }

    @Test func addressInUseIsOneLine() async throws {
        try await withServer { server, _ in
            let port = try #require(server.port)
            let second = MetricsServer(.init(address: .tcp(host: "127.0.0.1", port: port)), logger: Self.logger) { [] }
            let error = await #expect(throws: MetricsServerError.self) { try await second.start() }
            #expect(error?.description.contains("cannot serve metrics on 127.0.0.1:\(port)") == true)
        }
    }
}
