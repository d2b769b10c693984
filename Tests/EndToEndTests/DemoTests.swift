import Foundation
import TestSupport
import Testing

/// What a trained model must hear: the shipped model and labels on the demo recording, through the built programs.
///
/// The trainer writes a model card; a model directory without one holds weights that are not trained.
@Suite(
    .serialized, .enabled(if: Product.isBuilt, "the programs are not built"),
    .enabled(if: TrainedModel.isShipped, "the model directory has no MODEL_CARD.md: its weights are not trained"))
struct DemoTests {
    private struct Event: Decodable {
        let label: String
        let onset: Double
        let offset: Double
        let score: Double
    }

    private func events() async throws -> [Event] {
        let demo = try #require(checkoutPath("Tests/Fixtures/demo.flac"))
        let labels = try #require(checkoutPath("labels/esc50.txt"))
        let outcome = try await run("earshot", ["detect", "--labels", labels, "--jsonl", demo])
        #expect(outcome.exit == .status(0), "\(outcome.errors)")
        return try outcome.output.map { try JSONDecoder().decode(Event.self, from: Data($0.utf8)) }
    }

    /// The siren sounds from 3 to 8 s.
    @Test func hearsTheSiren() async throws {
        let events = try await events()
        #expect(
            events.contains { $0.label == "siren" && $0.onset > 2 && $0.onset < 8 && $0.offset < 10 },
            "\(events)")
    }

    /// Between the sounds, and after them, there is digital silence.
    @Test func hearsNothingInTheSilence() async throws {
        let silent = [9.5...14, 20.5...24, 31.5...36, 44.5...47, 54.5...60]
        for event in try await events() {
            #expect(!silent.contains { $0.contains(event.onset) || $0.contains(event.offset) }, "\(event)")
        }
    }

    /// The daemon logs each onset; at full speed no client could be there in time.
    @Test func daemonHearsTheSiren() async throws {
        let folder = try TemporaryFolder()
        let demo = try #require(checkoutPath("Tests/Fixtures/demo.flac"))
        let labels = try #require(checkoutPath("labels/esc50.txt"))
        let outcome = try await run(
            "earshotd", ["--source", demo, "--labels", labels, "--once", "--socket", folder.file("e.sock")])
        #expect(outcome.exit == .status(0))
        #expect(outcome.errors.contains { $0.contains("source: siren (") }, "\(outcome.errors)")
    }
}

/// Whether the weights of the checkout's model are trained.
enum TrainedModel {
    static let isShipped: Bool = {
        let isTrained =
            committedModelPath().map { FileManager.default.fileExists(atPath: $0 + "/MODEL_CARD.md") } ?? false
        if !isTrained { print("EndToEndTests: recognition skipped, the model directory has no MODEL_CARD.md") }
        return isTrained
    }()
}
