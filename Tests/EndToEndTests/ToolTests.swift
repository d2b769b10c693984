import Foundation
import TestSupport
import Testing

/// The tool's other commands.
@Suite(.serialized, .enabled(if: Product.isBuilt, "the programs are not built")) struct ToolTests {
    private struct Clip: Decodable {
        struct Entry: Decodable {
            let label: String
            let score: Double
        }
        let file: String
        let ranking: [Entry]
    }

    @Test(arguments: ["argmax", "transport", "balanced"]) func classifies(match: String) async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog", "siren", "rain")
        let files = try (0..<3).map { index in
            try place.folder.write("\(index).wav", waveFile(noise(seconds: 1, seed: UInt64(index))))
        }
        let outcome = try await place.earshot(
            "classify", arguments: ["--labels", labels, "--match", match, "--jsonl", "--top", "2"] + files)
        #expect(outcome.exit == .status(0) && outcome.errors.isEmpty, "\(outcome)")
        let clips = try outcome.output.map { try JSONDecoder().decode(Clip.self, from: Data($0.utf8)) }
        #expect(clips.map(\.file) == files)
        for clip in clips {
            try #require(clip.ranking.count == 2)
            #expect(clip.ranking[0].score >= clip.ranking[1].score)
            #expect(
                clip.ranking.allSatisfy { ["dog", "siren", "rain"].contains($0.label) && (0...1).contains($0.score) })
        }
        // One clip that cannot be read does not keep the others from being ranked.
        let partly = try await place.earshot(
            "classify",
            arguments: ["--labels", labels, "--match", match, "--jsonl", files[0], place.folder.file("no.wav")])
        #expect(partly.exit == .status(2) && partly.errors.count == 1 && partly.output.count == 1, "\(partly)")
    }

    @Test func onePassIsAnother() async throws {
        let place = try Workplace()
        let labels = try place.labelFile("dog", "siren", "rain")
        let clip = try place.folder.write("clip.wav", waveFile(noise(seconds: 1)))
        func scores(_ arguments: String...) async throws -> [String: Double] {
            let outcome = try await place.earshot(
                "classify", arguments: ["--labels", labels, "--jsonl"] + arguments + [clip])
            #expect(outcome.exit == .status(0) && outcome.output.count == 1, "\(outcome)")
            let ranking = try JSONDecoder().decode(Clip.self, from: Data(outcome.output.joined().utf8)).ranking
            return Dictionary(uniqueKeysWithValues: ranking.map { ($0.label, $0.score) })
        }
        #expect(try await scores() != scores("--one-pass"))
    }

    @Test func evaluatesTagging() async throws {
        let place = try Workplace()
        var manifest = "filename,category\n"
        for (index, label) in ["dog", "siren", "rain", "glass_breaking"].enumerated() {
            try place.folder.write("\(index).wav", waveFile(noise(seconds: 1, seed: UInt64(index))))
            manifest += "\(index).wav,\(label)\n"
        }
        let file = try place.folder.write("clips.csv", manifest)
        let outcome = try await place.earshot(
            "evaluate", "tagging", arguments: ["--manifest", file, "--audio", place.folder.path, "--json"])
        #expect(outcome.exit == .status(0) && outcome.output.count == 1, "\(outcome)")
        let report = try jsonObject(outcome.output.joined())
        #expect(report["clips"] as? Int == 4 && report["labels"] as? Int == 4 && report["passes"] as? Int == 2)
        let modes = try #require(report["modes"] as? [String: [String: Double]])
        #expect(Set(modes.keys) == ["argmax", "transport", "balanced"])
        for (mode, figures) in modes {
            let recall = try ["R@1", "R@5", "R@10"].map { try #require(figures[$0]) }
            // Four labels: each is among the first five.
            #expect(recall[0] >= 0 && recall[0] <= 1 && recall[1] == 1 && recall[2] == 1, "\(mode): \(figures)")
        }
        let table = try await place.earshot(
            "evaluate", "tagging", arguments: ["--one-pass", "--manifest", file, "--audio", place.folder.path])
        #expect(table.output.first?.contains("one pass") == true && table.output.count == 5, "\(table.output)")
    }

    /// One label that is heard in every sound, so that the figures are known beforehand.
    @Test func evaluatesStreams() async throws {
        let place = try Workplace()
        let folder = place.folder.file("streams")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try write(
            waveFile(silence(seconds: 3) + noise(seconds: 4) + silence(seconds: 3)), to: folder + "/a.wav")
        let truth = try place.folder.write("truth.tsv", "filename\tonset\toffset\tevent_label\na.wav\t3\t7\tdog\n")
        let background = place.folder.file("background")
        try FileManager.default.createDirectory(atPath: background, withIntermediateDirectories: true)
        try write(waveFile(silence(seconds: 5) + noise(seconds: 2) + silence(seconds: 5)), to: background + "/b.wav")
        let outcome = try await place.earshot(
            "evaluate", "streams",
            arguments: ["--truth", truth, "--audio", folder, "--background", background, "--json"])
        #expect(outcome.exit == .status(0) && outcome.output.count == 1, "\(outcome)")
        let report = try jsonObject(outcome.output.joined())
        #expect(report["streams"] as? Int == 1, "\(report)")
        #expect((report["segment_based_1s"] as? [String: Double])?["recall"] == 1, "\(report)")
        // One alarm in 12 seconds.
        #expect(report["false_alarms_per_hour"] as? Double == 300, "\(report)")
        #expect(report["false_alarms_by_label"] as? [String: Int] == ["dog": 1], "\(report)")
    }

    @Test func listsDevices() async throws {
        let outcome = try await run("earshot", ["devices"])
        #expect(outcome.exit == .status(0), "\(outcome)")
        #expect(!outcome.output.isEmpty)
        let lines = try await run("earshot", ["devices", "--jsonl"])
        #expect(lines.exit == .status(0))
        for line in lines.output {
            #expect((try jsonObject(line)["device"] as? String)?.hasPrefix("alsa:") == true, "\(line)")
        }
    }
}
