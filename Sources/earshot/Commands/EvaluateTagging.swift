import ArgumentParser
import AudioEmbedding
import DetectionPipeline
import Evaluation
import Labels
import TensorKernels

struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures the detector on annotated recordings.",
        subcommands: [EvaluateTagging.self, EvaluateStreams.self])
}

struct EvaluateTagging: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tagging",
        abstract: "R@1/5/10, mAP@10 and modality gap of whole clips, for each match mode.",
        discussion: """
            argmax and transport see each clip alone; balanced is transductive: transport over all clips and labels with \
            uniform marginals. Labels are the categories of the manifest, or those of --labels in the same order.
            """)

    @OptionGroup var model: ModelOptions

    @Option(help: ArgumentHelp("CSV with the columns filename and category.", valueName: "csv"))
    var manifest: String

    @Option(help: ArgumentHelp("Directory of the clips.", valueName: "dir"))
    var audio: String

    @Option(
        help: ArgumentHelp(
            "Label file to rank.",
            discussion: "Every category must be a label in it. Default: the manifest's categories.", valueName: "file"))
    var labels: String?

    @OptionGroup var passes: PassOptions

    @Flag(help: "Print one JSON object instead of a table.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "ε of the clip transport, instead of the model's.", discussion: "In units of the cost.",
            visibility: .hidden))
    var regularization: Double?

    func run() throws {
        let model = try self.model.load()
        let manifest = try EvaluationManifest(path: self.manifest)
        let entries: [LabelEntry]
        if let labels {
            entries = try LabelFile(path: labels, template: model.configuration.prompts.template).entries
        } else {
            entries = manifest.labels.map { LabelEntry($0, template: model.configuration.prompts.template) }
        }
        let indexByName = Dictionary(
            entries.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
        var reader = try ClipReader(model, passes)
        var embeddings: [[Float]] = []
        var truth: [Int] = []
        for clip in manifest.clips {
            guard let index = indexByName[clip.label] else {
                throw EvaluationError(
                    path: self.manifest, line: clip.line, "category \"\(clip.label)\" is not among the labels")
            }
            guard let embedding = reader.embed(audio + "/" + clip.filename) else { continue }
            embeddings.append(embedding)
            truth.append(index)
        }
        if reader.hadProblems { throw ExitCode(2) }
        let compiled = try self.model.compile(entries, for: model)
        let windows = Matrix(rows: embeddings)
        let matcher = ClipMatcher(
            compiled, bank: model.bank, regularization: regularization ?? model.clipRegularization)
        var report = TaggingReport(
            model: model.configuration.name, clips: embeddings.count, labels: entries.count, passes: reader.passCount,
            modalityGap: rounded(try modalityGap(audio: windows, text: compiled.promptEmbeddings), 4), modes: [:])
        for mode in MatchMode.allCases {
            let scores = try TaggingScores(scores: try matcher.scores(of: windows, mode: mode), truth: truth)
            report.modes[mode.rawValue] = TaggingReport.Figures(scores)
        }
        if json { try printJSON(report) } else { report.printTable() }
    }
}

/// What `earshot evaluate tagging` prints.
struct TaggingReport: Encodable {
    struct Figures: Encodable {
        let recallAt1: Double
        let recallAt5: Double
        let recallAt10: Double
        let meanAveragePrecisionAt10: Double

        enum CodingKeys: String, CodingKey {
            case recallAt1 = "R@1"
            case recallAt5 = "R@5"
            case recallAt10 = "R@10"
            case meanAveragePrecisionAt10 = "mAP@10"
        }

        init(_ scores: TaggingScores) {
            recallAt1 = rounded(scores.recall(at: 1), 4)
            recallAt5 = rounded(scores.recall(at: 5), 4)
            recallAt10 = rounded(scores.recall(at: 10), 4)
            meanAveragePrecisionAt10 = rounded(scores.meanAveragePrecision(at: 10), 4)
        }
    }

    let model: String
    let clips: Int
    let labels: Int
    /// Encoders that heard each clip.
    let passes: Int
    let modalityGap: Double
    var modes: [String: Figures]

    enum CodingKeys: String, CodingKey {
        case model, clips, labels, passes
        case modalityGap = "modality_gap"
        case modes
    }

    func printTable() {
        print(
            "\(clips) clips, \(labels) labels, model \(model), \(passes == 1 ? "one pass" : "\(passes) passes"), "
                + "modality gap \(modalityGap)")
        print("match       R@1     R@5     R@10    mAP@10")
        for mode in MatchMode.allCases {
            guard let figures = modes[mode.rawValue] else { continue }
            let columns = [
                figures.recallAt1, figures.recallAt5, figures.recallAt10, figures.meanAveragePrecisionAt10,
            ].map { padded("\(rounded($0 * 100, 2))", 8) }
            print(padded(mode.rawValue, 12) + columns.joined())
        }
    }
}

func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
}
