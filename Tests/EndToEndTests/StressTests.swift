import TestSupport
import Testing

/// The long runs of `make load` and `make soak`, shortly: nothing may be lost. What takes longer to see, memory and
/// delays, is theirs.
@Suite(.serialized, .enabled(if: Product.isBuilt, "the programs are not built"))
struct StressTests {
    @Test func manySubscribersMissNothing() async throws {
        let outcome = try await run(
            "StressTest",
            ["load", "--duration", "5", "--subscribers", "200", "--stalled", "20", "--delay-limit", "5000"])
        #expect(outcome.exit == .status(0), "\(outcome.output) \(outcome.errors)")
    }

    @Test func minutesOfAudioAddUp() async throws {
        let demo = try #require(checkoutPath("Tests/Fixtures/demo.flac"))
        let labels = try #require(checkoutPath("labels/esc50.txt"))
        let outcome = try await run(
            "StressTest", ["soak", "--hours", "0.05", "--recording", demo, "--labels", labels])
        #expect(outcome.exit == .status(0), "\(outcome.output) \(outcome.errors)")
    }
}
