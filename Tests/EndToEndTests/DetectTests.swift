import Foundation
import TestSupport
import Testing

/// `earshot detect` on a model that hears every sound.
@Suite(.serialized, .enabled(if: Product.isBuilt, "the programs are not built")) struct DetectTests {
    /// Two sounds with digital silence around them.
    private static let recording =
        silence(seconds: 2) + noise(seconds: 2) + silence(seconds: 3) + noise(seconds: 2, seed: 2) + silence(seconds: 2)

    struct Event: Decodable, Equatable {
        let source: String
        let label: String
        let onset: Double
        let offset: Double
        let score: Double
    }

    private func events(_ outcome: Outcome) throws -> [Event] {
        try outcome.output.map { try JSONDecoder().decode(Event.self, from: Data($0.utf8)) }
    }

    @Test func listsTheEventsOfAFile() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog")
        let file = try place.folder.write("two.wav", waveFile(Self.recording))
        let outcome = try await place.earshot("detect", arguments: ["--labels", labels, "--jsonl", file])
        #expect(outcome.exit == .status(0))
        #expect(outcome.errors.isEmpty, "\(outcome.errors)")
        let events = try events(outcome)
        try #require(events.count == 2, "\(outcome.output)")
        for (event, truth) in zip(events, [2.0...4, 7...9]) {
            #expect(event.source == file)
            #expect(event.label == "dog")
            #expect((0...1).contains(event.score))
            // A window is longer than a step, so that an event reaches into the silence on both sides.
            #expect(abs(event.onset - truth.lowerBound) < 1 && abs(event.offset - truth.upperBound) < 1, "\(event)")
        }
        let table = try await place.earshot("detect", arguments: ["--labels", labels, file])
        #expect(table.output == events.map { "\($0.source)\t\($0.label)\t\($0.onset)\t\($0.offset)\t\($0.score)" })
    }

    @Test func standardInputEqualsAFile() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog", "rain [threshold=0.05]", "siren [threshold=0.05]")
        let file = try place.folder.write("two.wav", waveFile(Self.recording))
        let fromFile = try await place.earshot("detect", arguments: ["--labels", labels, "--jsonl", file])
        let fromInput = try await place.earshot(
            "detect", arguments: ["--labels", labels, "--jsonl", "-"], input: rawSamples(Self.recording))
        #expect(fromInput.exit == .status(0))
        #expect(!fromFile.output.isEmpty)
        #expect(
            fromInput.output.map { $0.replacing(#""source":"-""#, with: #""source":"\#(file)""#) } == fromFile.output)
    }

    @Test(arguments: [16_000, 44_100]) func resamplesStandardInput(rate: Int) async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog")
        let audio =
            silence(seconds: 2, sampleRate: rate) + noise(seconds: 2, sampleRate: rate)
            + silence(seconds: 2, sampleRate: rate)
        let outcome = try await place.earshot(
            "detect", arguments: ["--labels", labels, "--jsonl", "--rate", "\(rate)", "-"], input: rawSamples(audio))
        #expect(outcome.exit == .status(0))
        let events = try events(outcome)
        #expect(events.count == 1 && abs(events[0].onset - 2) < 1 && abs(events[0].offset - 4) < 1, "\(events)")
    }

    @Test func hearsTheChosenChannel() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog")
        let quiet = silence(seconds: 3)
        let loud = noise(seconds: 3)
        var header = waveFile(zip(quiet, loud).flatMap { [$0, $1] })
        // Two channels of the same samples: the fields of `fmt ` that say so.
        header[22] = 2
        header.replaceSubrange(28..<32, with: [0x00, 0xF4, 0x01, 0x00])
        header[32] = 4
        let file = try place.folder.write("stereo.wav", header)
        let silent = try await place.earshot("detect", arguments: ["--labels", labels, "--channel", "1", file])
        let heard = try await place.earshot("detect", arguments: ["--labels", labels, "--channel", "2", file])
        let missing = try await place.earshot("detect", arguments: ["--labels", labels, "--channel", "3", file])
        #expect(silent.exit == .status(0) && silent.output.isEmpty, "\(silent)")
        #expect(heard.exit == .status(0) && heard.output.count == 1, "\(heard)")
        #expect(missing.exit == .status(2) && missing.errors.count == 1 && missing.errors[0].contains("2 channels"))
    }

    @Test func silenceAndConstantsAreNoEvent() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog [threshold=0.01]", "rain [threshold=0.01]")
        for (name, samples) in [
            ("digital silence", silence(seconds: 8)), ("a constant", [Float](repeating: 0.25, count: 8 * 32_000)),
            ("a toggling last bit", (0..<8 * 32_000).map { Float($0 % 2) / 32_768 }),
        ] {
            let file = try place.folder.write("quiet.wav", waveFile(samples))
            let outcome = try await place.earshot(
                "detect", arguments: ["--labels", labels, "--threshold", "0.01", "--jsonl", file])
            #expect(outcome.exit == .status(0) && outcome.output.isEmpty, "\(name): \(outcome)")
        }
    }

    /// The events up to the damage are listed, the damage is one line, and files after it are read.
    @Test func truncatedFileTellsWhatItHolds() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog")
        let whole = waveFile(Self.recording)
        let truncated = try place.folder.write("cut.wav", Array(whole.prefix(whole.count * 6 / 11)))
        let good = try place.folder.write("good.wav", whole)
        let outcome = try await place.earshot("detect", arguments: ["--labels", labels, "--jsonl", truncated, good])
        #expect(outcome.exit == .status(2))
        #expect(outcome.errors.count == 1 && outcome.errors[0].contains("cut.wav: truncated"), "\(outcome.errors)")
        let events = try events(outcome)
        #expect(events.map(\.source) == [truncated, good, good], "\(events)")
        let limit = Double(Self.recording.count) / 32_000 * 6 / 11 + 0.001
        #expect(events.allSatisfy { $0.source == good || $0.offset <= limit })
    }

    /// The shipped model and labels on the demo recording: what holds for any weights.
    @Test(.enabled(if: ShippedLabels.areUsable, ShippedLabels.reason))
    func demoGivesWellFormedEvents() async throws {
        let demo = try #require(checkoutPath("Tests/Fixtures/demo.flac"))
        let labels = try #require(checkoutPath("labels/esc50.txt"))
        let outcome = try await run("earshot", ["detect", "--labels", labels, "--jsonl", "--threshold", "0.05", demo])
        #expect(outcome.exit == .status(0), "\(outcome.errors)")
        #expect(outcome.errors.isEmpty, "\(outcome.errors)")
        for event in try events(outcome) {
            #expect(event.onset >= 0 && event.onset < event.offset && event.offset <= 60, "\(event)")
            #expect((0...1).contains(event.score))
        }
    }
}

/// Whether the shipped label files can be embedded here.
enum ShippedLabels {
    static let areUsable: Bool = {
        let isUsable =
            committedModelPath().map { FileManager.default.fileExists(atPath: $0 + "/labels.safetensors") } ?? false
        if !isUsable { print("EndToEndTests: partly skipped, \(reason)") }
        return isUsable
    }()
    static let reason: Comment = "the model directory has no labels.safetensors"
}
