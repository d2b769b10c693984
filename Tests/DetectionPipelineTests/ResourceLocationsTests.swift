import DetectionPipeline
import Foundation
import TestSupport
import Testing

/// The environment belongs to the whole process, hence serialized; the variables are read nowhere else in the tests.
@Suite(.serialized) struct ResourceLocationsTests {
    private func with<Result>(_ variables: [String: String?], _ body: () throws -> Result) rethrows -> Result {
        let before = variables.keys.map { ($0, getenv($0).map { String(cString: $0) }) }
        func set(_ name: String, _ value: String?) {
            if let value { setenv(name, value, 1) } else { unsetenv(name) }
        }
        for (name, value) in variables { set(name, value) }
        defer { for (name, value) in before { set(name, value) } }
        return try body()
    }

    @Test func environmentComesFirst() {
        with(["EARSHOT_MODEL": "/a/model", "EARSHOT_LABELS": "/a/labels", "EARSHOT_TEXT_ENCODER": "/a/text"]) {
            #expect(ResourceLocations.model == "/a/model")
            #expect(ResourceLocations.labels == "/a/labels")
            #expect(ResourceLocations.textEncoder == "/a/text")
        }
    }

    /// The test bundle lies in the checkout's build folder.
    @Test func checkoutIsFound() throws {
        with(["EARSHOT_MODEL": nil, "EARSHOT_LABELS": ""]) {
            #expect(ResourceLocations.model == committedModelPath())
            #expect(ResourceLocations.labels == checkoutPath("labels"))
        }
    }

    @Test func cache() {
        with(["CACHE_DIRECTORY": "/var/cache/earshot:/second", "XDG_CACHE_HOME": "/home/me/cache"]) {
            #expect(ResourceLocations.cache == "/var/cache/earshot")
        }
        with(["CACHE_DIRECTORY": nil, "XDG_CACHE_HOME": "/home/me/cache"]) {
            #expect(ResourceLocations.cache == "/home/me/cache/earshot")
        }
        with(["CACHE_DIRECTORY": nil, "XDG_CACHE_HOME": "relative"]) {
            #expect(ResourceLocations.cache.hasSuffix("/.cache/earshot"))
        }
    }

    @Test func socket() {
        with(["EARSHOT_SOCKET": "/a/e.sock", "RUNTIME_DIRECTORY": "/run/x"]) {
            #expect(ResourceLocations.socket == "/a/e.sock")
        }
        with(["EARSHOT_SOCKET": nil, "RUNTIME_DIRECTORY": "/run/x"]) {
            #expect(ResourceLocations.socket == "/run/x/earshot.sock")
        }
    }
}
