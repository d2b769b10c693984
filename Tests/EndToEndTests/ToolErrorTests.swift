import Foundation
import TestSupport
import Testing

/// Wrong usage and bad input: exit status 2 and one line that says what is wrong and where.
@Suite(.serialized, .enabled(if: Product.isBuilt, "the programs are not built")) struct ToolErrorTests {
    private let place: Workplace
    private let labels: String
    private let sound: String

    init() throws {
        place = try Workplace()
        labels = try place.labelFile("dog")
        sound = try place.folder.write("sound.wav", waveFile(noise(seconds: 1)))
    }

    private func expect(
        _ outcome: Outcome, saying words: String..., status: Int32 = 2, output: Int = 0,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(outcome.exit == .status(status), "\(outcome)", sourceLocation: sourceLocation)
        #expect(outcome.errors.count == 1, "\(outcome)", sourceLocation: sourceLocation)
        #expect(outcome.output.count == output, "\(outcome)", sourceLocation: sourceLocation)
        for word in words {
            #expect(outcome.errors.first?.contains(word) == true, "\(outcome)", sourceLocation: sourceLocation)
        }
    }

    private func detect(_ file: String) async throws -> Outcome {
        try await place.earshot("detect", arguments: ["--labels", labels, "--jsonl", file])
    }

    @Test func badSources() async throws {
        let folder = place.folder
        expect(try await detect(folder.file("no.wav")), saying: "no.wav: no such file")
        expect(try await detect(folder.path), saying: folder.path, "is a directory")
        expect(try await detect(try folder.write("empty.wav", [UInt8]())), saying: "empty.wav: is empty")
        expect(
            try await detect(try folder.write("text.wav", "This is no sound.")), saying: "text.wav: not a sound file")
        expect(try await detect(try folder.write("none.wav", waveFile([]))), saying: "none.wav")
        let demo = try #require(checkoutPath("Tests/Fixtures/demo.flac"))
        var damaged = try [UInt8](Data(contentsOf: URL(fileURLWithPath: demo)).prefix(60_000))
        for index in 20_000..<30_000 { damaged[index] = 0x55 }
        let outcome = try await detect(try folder.write("damaged.flac", damaged))
        #expect(outcome.exit == .status(2), "\(outcome)")
        #expect(outcome.errors.count == 1 && outcome.errors[0].contains("damaged.flac"), "\(outcome)")
        expect(try await detect("alsa:"), saying: "alsa:")
        expect(try await detect(""), saying: "the source is empty")
    }

    @Test func classifyAndEvaluateRefuseBadFiles() async throws {
        expect(
            try await place.earshot("classify", arguments: ["--labels", labels, place.folder.file("no.wav")]),
            saying: "no.wav: no such file")
        let manifest = try place.folder.write("clips.csv", "filename,category\nno.wav,dog\n")
        expect(
            try await place.earshot(
                "evaluate", "tagging", arguments: ["--manifest", manifest, "--audio", place.folder.path]),
            saying: "no.wav")
        let incomplete = try place.folder.write("incomplete.csv", "filename\nno.wav\n")
        expect(
            try await place.earshot(
                "evaluate", "tagging", arguments: ["--manifest", incomplete, "--audio", place.folder.path]),
            saying: "incomplete.csv", "category")
        let truth = try place.folder.write("truth.tsv", "filename\tonset\toffset\tevent_label\nsound.wav\t2\t1\tdog\n")
        expect(
            try await place.earshot(
                "evaluate", "streams", arguments: ["--truth", truth, "--audio", place.folder.path]),
            saying: "truth.tsv:2")
    }

    @Test func badLabelFiles() async throws {
        func detect(_ text: String) async throws -> Outcome {
            let file = try place.folder.write("bad.txt", text)
            return try await place.earshot("detect", arguments: ["--labels", file, sound])
        }
        expect(try await detect("dog\nsiren\ndog\n"), saying: "bad.txt:3")
        expect(try await detect("dog [threshold=7]\n"), saying: "bad.txt:1", "threshold")
        expect(try await detect("# nothing\n"), saying: "bad.txt")
        expect(
            try await place.earshot("detect", arguments: ["--labels", place.folder.file("no.txt"), sound]),
            saying: "no.txt")
        let binary = try place.folder.write("binary.txt", [0xFF, 0x00, 0xFE, 0x0A, 0x80])
        expect(try await place.earshot("detect", arguments: ["--labels", binary, sound]), saying: "binary.txt")
    }

    @Test func labelsCheckNamesEveryProblem() async throws {
        let bad = try place.labelFile("dog", "dog", "siren [threshold=7]", "rain [colour=blue]", name: "bad.txt")
        let outcome = try await run("earshot", ["labels", "check", bad, labels])
        #expect(outcome.exit == .status(2))
        #expect(outcome.errors.count == 3, "\(outcome.errors)")
        for (line, error) in zip(2...4, outcome.errors) {
            #expect(error.hasPrefix("earshot: \(bad):\(line): "), "\(error)")
        }
        #expect(outcome.output == ["\(labels): 1 labels, 1 prompts, all good"])
    }

    /// Every label file that ships is good.
    @Test func labelsCheckPassesTheShippedFiles() async throws {
        let folder = try #require(checkoutPath("labels"))
        let files = try FileManager.default.contentsOfDirectory(atPath: folder).sorted().map { "\(folder)/\($0)" }
        #expect(files.count >= 5)
        let outcome = try await run("earshot", ["labels", "check"] + files)
        #expect(outcome.exit == .status(0) && outcome.errors.isEmpty, "\(outcome)")
        #expect(outcome.output.count == files.count)
    }

    @Test func wrongUsage() async throws {
        expect(try await run("earshot", ["detect", "--colour", sound]), saying: "--colour", "(see earshot --help)")
        expect(try await run("earshot", ["listen"]), saying: "listen")
        expect(try await run("earshot", ["detect"]), saying: "sources")
        for threshold in ["0", "1.5", "-1", "nan", "loud"] {
            expect(try await run("earshot", ["detect", "--threshold=\(threshold)", sound]), saying: "threshold")
        }
        expect(
            try await place.earshot("detect", arguments: ["--labels", labels, "--rate", "0", "-"]), saying: "0 Hz")
        expect(try await run("earshotd", ["--colour"]), saying: "--colour", "(see earshotd --help)")
        expect(try await run("earshotd", ["--source", "alsa:", "--labels", labels] + place.options), saying: "alsa:")
        let help = try await run("earshot", ["--help"])
        #expect(help.exit == .status(0) && help.errors.isEmpty && help.output.contains { $0.contains("detect") })
        let version = try await run("earshotd", ["--version"])
        #expect(version.exit == .status(0) && version.output.count == 1)
    }

    @Test func badModels() async throws {
        let folder = place.folder
        func detect(_ model: String) async throws -> Outcome {
            try await run(
                "earshot",
                [
                    "detect", "--labels", labels, "--model", model, "--text-encoder", "/nowhere", "--cache",
                    folder.path, sound,
                ])
        }
        expect(try await detect(folder.file("no-model")), saying: "no-model/config.json: cannot be read")

        let weights = try [UInt8](Data(contentsOf: URL(fileURLWithPath: place.model + "/model.safetensors")))
        func model(_ name: String, weights: [UInt8]) throws -> String {
            let path = folder.file(name)
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            try FileManager.default.copyItem(atPath: place.model + "/config.json", toPath: path + "/config.json")
            try write(weights, to: path + "/model.safetensors")
            return path
        }
        expect(
            try await detect(try model("truncated", weights: Array(weights.prefix(weights.count / 2)))),
            saying: "truncated/model.safetensors")
        expect(try await detect(try model("stub", weights: [1, 2, 3])), saying: "stub/model.safetensors", "too short")
        expect(
            try await detect(try model("endless", weights: safetensors(header: "{}", data: [], declaredLength: .max))),
            saying: "endless/model.safetensors")
        let hostile =
            #"{"features.0.weight":{"dtype":"F16","shape":[9223372036854775807,4],"data_offsets":[0,8]}}"#
        expect(
            try await detect(
                try model("hostile", weights: safetensors(header: hostile, data: [0, 0, 0, 0, 0, 0, 0, 0]))),
            saying: "hostile/model.safetensors", "features.0.weight")
        expect(
            try await detect(try model("nothing", weights: safetensors(header: "{}", data: []))),
            saying: "nothing/model.safetensors")

        let nested = String(repeating: "[", count: 100_000)
        let deep = try model("deep", weights: weights)
        try write(Array(nested.utf8), to: deep + "/config.json")
        expect(try await detect(deep), saying: "deep/config.json")
        try write(Array("{}".utf8), to: deep + "/config.json")
        expect(try await detect(deep), saying: "deep/config.json")
    }

    /// A label that no cache knows, where no text encoder is: one line that says what to do.
    @Test func unknownLabelWithoutTextEncoder() async throws {
        let file = try place.labelFile("a sound that nobody knows", name: "unknown.txt")
        let outcome = try await place.earshot("detect", arguments: ["--labels", file, sound])
        expect(outcome, saying: "a sound that nobody knows", "make text-encoder", status: 1)
    }

    @Test func noDaemonAnswers() async throws {
        let socket = place.folder.file("no.sock")
        expect(try await run("earshot", ["status", "--socket", socket]), saying: socket, status: 1)
        expect(try await run("earshot", ["watch", "--socket", socket]), saying: socket, status: 1)
    }
}
