import ArgumentParser
import AudioEmbedding
import DetectionPipeline
import Labels

struct LabelsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "labels", abstract: "Works with label files.",
        subcommands: [LabelsCheck.self, LabelsBundle.self])
}

struct LabelsCheck: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Says what is wrong with a label file, line by line; exit status 2 if anything is.")

    @Argument(help: "Label files.")
    var files: [String]

    func run() throws {
        var hadProblems = false
        for path in files {
            let check = LabelFile.check(path: path)
            for problem in check.problems { complain(problem.description) }
            hadProblems = hadProblems || !check.problems.isEmpty
            if let file = check.file {
                let prompts = file.entries.reduce(0) { $0 + $1.prompts.count }
                print("\(path): \(file.entries.count) labels, \(prompts) prompts, all good")
            }
        }
        if hadProblems { throw ExitCode(2) }
    }
}

struct LabelsBundle: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bundle", abstract: "Writes the sentence embeddings of label files into a model directory.",
        discussion: "For those who ship a model: its users then need no text encoder for these files.",
        shouldDisplay: false)

    @OptionGroup var model: ModelOptions

    @Argument(help: "Label files.")
    var files: [String]

    func run() throws {
        let model = try self.model.load()
        let template = model.configuration.prompts.template
        let prompts = try files.flatMap { try LabelFile(path: $0, template: template).entries.flatMap(\.prompts) }
        let embedder = LabelEmbedder(
            model: model.directory, textEncoderDirectory: self.model.textEncoder ?? ResourceLocations.textEncoder,
            cacheDirectory: nil)
        let path = model.directory.path(of: LabelEmbedder.bundleName)
        try embedder.exportBundle(prompts: prompts, to: path)
        print("\(path): \(Set(prompts).count) prompts")
    }
}
