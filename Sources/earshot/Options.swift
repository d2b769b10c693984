import ArgumentParser
import AudioCapture
import AudioEmbedding
import DetectionPipeline
import Labels

/// Where the model and the text encoder lie.
struct ModelOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Model directory.", discussion: "Default: the bundled model.", valueName: "dir"))
    var model: String?

    @Option(help: ArgumentHelp("Directory of the sentence encoder, for labels that are in no cache.", valueName: "dir"))
    var textEncoder: String?

    @Option(help: ArgumentHelp("Directory of the label embedding cache.", valueName: "dir"))
    var cache: String?

    func load() throws -> DetectionModel {
        guard let path = model ?? ResourceLocations.model else {
            throw UsageProblem("no model found; name its directory with --model or EARSHOT_MODEL")
        }
        return try DetectionModel(path: path)
    }

    func compile(_ entries: [LabelEntry], for model: DetectionModel) throws -> CompiledLabels {
        try model.compile(
            entries, textEncoder: textEncoder ?? ResourceLocations.textEncoder,
            cache: cache ?? ResourceLocations.cache)
    }
}

/// Which sounds to listen for.
struct LabelOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Label file: one label per line.", discussion: "Default: the bundled esc50.txt."))
    var labels: String?

    func entries(for model: DetectionModel) throws -> [LabelEntry] {
        guard let path = labels ?? ResourceLocations.labels.map({ $0 + "/esc50.txt" }) else {
            throw UsageProblem("no label file found; name one with --labels or its directory with EARSHOT_LABELS")
        }
        return try LabelFile(path: path, template: model.configuration.prompts.template).entries
    }
}

/// Wrong usage or input that no other error type stands for: exit status 2.
struct UsageProblem: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
