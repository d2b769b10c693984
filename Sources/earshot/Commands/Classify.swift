import ArgumentParser
import AudioCapture
import DetectionPipeline
import TensorKernels

struct Classify: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ranks the labels for whole clips.",
        discussion: """
            Prints one JSON line per clip: {"file":…,"ranking":[{"label":…,"score":…},…]}. A score is the label's share of \
            the clip, in 0...1. A file that cannot be read in full is reported on standard error; what could be decoded \
            is ranked, and the exit status is 2.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var labels: LabelOptions

    @Option(help: ArgumentHelp("How many labels to list per clip.", valueName: "n"))
    var top = 5

    @Option(
        help: ArgumentHelp(
            "argmax, transport (label potentials from the model's bank), or balanced (over all given files).",
            valueName: "mode"))
    var match = MatchMode.argmax

    @OptionGroup var passes: PassOptions

    @Flag(help: "Print JSON lines instead of a table.")
    var jsonl = false

    @Argument(help: "Audio files.")
    var files: [String]

    func validate() throws {
        if top < 1 { throw ValidationError("--top must be at least 1") }
    }

    func run() throws {
        let model = try self.model.load()
        let compiled = try self.model.compile(try labels.entries(for: model), for: model)
        var reader = try ClipReader(model, passes)
        var clips: [(file: String, embedding: [Float])] = []
        for file in files {
            if let embedding = reader.embed(file) { clips.append((file, embedding)) }
        }
        if !clips.isEmpty {
            let matcher = ClipMatcher(compiled, bank: model.bank, regularization: model.clipRegularization)
            let scores = try matcher.scores(of: Matrix(rows: clips.map(\.embedding)), mode: match)
            let shares = matcher.shares(ofScores: scores)
            for (index, clip) in clips.enumerated() {
                let order = scores.row(index).enumerated().sorted { $0.element > $1.element }
                try report(clip.file, order.prefix(top).map { (compiled.names[$0.offset], shares[index, $0.offset]) })
            }
        }
        if reader.hadProblems { throw ExitCode(2) }
    }

    private func report(_ file: String, _ ranking: [(label: String, score: Float)]) throws {
        struct Line: Encodable {
            struct Entry: Encodable {
                let label: String
                let score: Double
            }
            let file: String
            let ranking: [Entry]
        }
        if jsonl {
            try printJSON(
                Line(file: file, ranking: ranking.map { .init(label: $0.label, score: rounded(Double($0.score), 6)) }))
        } else {
            print(file)
            for entry in ranking { print("  \(percent(entry.score))  \(entry.label)") }
        }
    }

    private func percent(_ share: Float) -> String {
        let text = "\(Int((share * 100).rounded())) %"
        return String(repeating: " ", count: max(0, 5 - text.count)) + text
    }
}

extension MatchMode: ExpressibleByArgument {}

/// Which of a model's encoders hear clips.
struct PassOptions: ParsableArguments {
    @Flag(
        help: ArgumentHelp(
            "Hear clips with the stream's encoder alone.",
            discussion: "Default: also with the model's second one, which looks further ahead than a stream can wait."))
    var onePass = false
}

/// Reads and embeds clips; a file that cannot be read in full is a line on standard error.
struct ClipReader: ~Copyable {
    private let sampleRate: Int
    private var embedder: ClipEmbedder
    private(set) var hadProblems = false

    init(_ model: DetectionModel, _ passes: PassOptions) throws {
        sampleRate = model.sampleRate
        embedder = try ClipEmbedder(model, hasSecondPass: !passes.onePass)
    }

    /// How many encoders hear each clip.
    var passCount: Int { embedder.passCount }

    /// - Returns: The clip's embedding; nil where nothing could be decoded.
    mutating func embed(_ path: String) -> [Float]? {
        do {
            let decoded = try decodeFile(path, sampleRate: sampleRate)
            if let failure = decoded.failure {
                hadProblems = true
                complain(failure.description)
            }
            return decoded.samples.isEmpty ? nil : embedder.embed(decoded.samples)
        } catch {
            hadProblems = true
            complain(String(describing: error))
            return nil
        }
    }
}
