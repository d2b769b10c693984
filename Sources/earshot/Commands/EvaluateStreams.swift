import ArgumentParser
import AudioCapture
import AudioEmbedding
import DetectionPipeline
import Evaluation
import EventDetection
import Foundation
import Labels
import OptimalTransport

struct EvaluateStreams: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "streams",
        abstract: "Event-based and segment-based F1, PSDS areas, delays and false alarms of streams.",
        discussion: """
            Streams are read as a source is, through the streaming encoder and matcher with the shipped thresholds. A \
            delay is the audio heard from a sound's onset until its onset line was sent. PSDS areas come from 50 \
            thresholds.
            """)

    @OptionGroup var model: ModelOptions

    @Option(help: ArgumentHelp("TSV with the columns filename, onset, offset and event_label.", valueName: "tsv"))
    var truth: String?

    @Option(help: ArgumentHelp("Directory of the streams.", valueName: "dir"))
    var audio: String?

    @Option(
        help: ArgumentHelp(
            "Directory of recordings without any of the labels' sounds, for false alarms per hour.", valueName: "dir"))
    var background: String?

    @Option(help: ArgumentHelp("Label file.", discussion: "Default: the labels of the truth.", valueName: "file"))
    var labels: String?

    @Flag(help: "Print one JSON object instead of a table.")
    var json = false

    @OptionGroup var tuning: TuningOptions

    func validate() throws {
        if truth == nil && background == nil { throw ValidationError("give --truth with --audio, or --background") }
        if truth != nil && audio == nil { throw ValidationError("--truth needs --audio, the directory of its streams") }
        if truth == nil && labels == nil { throw ValidationError("--background without --truth needs --labels") }
    }

    func run() throws {
        let model = try self.model.load()
        let template = model.configuration.prompts.template
        let reference = try truth.map { try EventTruth(path: $0) }
        let entries: [LabelEntry]
        if let labels {
            entries = try LabelFile(path: labels, template: template).entries
        } else {
            entries = (reference?.labels ?? []).map { LabelEntry($0, template: template) }
        }
        let compiled = try self.model.compile(entries, for: model)
        let settings = try tuning.applied(to: DetectionSettings(model))
        let evaluator = StreamEvaluator(model: model, labels: compiled, settings: settings)
        var report = StreamsReport(model: model.configuration.name, labels: entries.count)
        if let reference, let audio {
            let scores = try reference.filenames.map { try evaluator.score(audio + "/" + $0, name: $0) }
            try report.addFigures(of: scores, truth: reference, evaluator: evaluator)
        }
        if let background {
            let files = try FileManager.default.contentsOfDirectory(atPath: background).sorted()
                .filter { SoundFileNames.isAudio($0) }
            guard !files.isEmpty else { throw UsageProblem("\(background): no audio files in this directory") }
            let scores = try files.map { try evaluator.score(background + "/" + $0, name: $0) }
            try report.addFalseAlarms(of: scores, evaluator: evaluator)
        }
        if json { try printJSON(report) } else { report.printTable() }
    }
}

/// Files of a directory that are taken for recordings.
enum SoundFileNames {
    private static let extensions: Set<String> = ["wav", "flac", "ogg", "opus", "mp3", "aiff", "aif"]

    static func isAudio(_ name: String) -> Bool {
        extensions.contains(name.split(separator: ".").last.map { $0.lowercased() } ?? "")
    }
}

/// Constants to try instead of the model's; for calibration.
struct TuningOptions: ParsableArguments {
    @Option(help: .hidden) var on: Float?
    @Option(help: .hidden) var off: Float?
    @Option(help: .hidden) var median: Double?
    @Option(help: .hidden) var sustainedLength: Double?
    @Option(help: .hidden) var sustainedExponent: Float?
    @Option(help: .hidden) var minimumLength: Double?
    @Option(help: .hidden) var gap: Double?
    @Option(help: .hidden) var onsetLead: Double?
    @Option(help: .hidden) var windowSteps: Int?
    @Option(help: .hidden) var regularization: Float?
    @Option(help: .hidden) var price: Float?
    @Option(help: .hidden) var labelRelaxation: Float?
    @Option(help: .hidden) var matchedShare: Float?
    @Option(help: .hidden) var bankShare: Float?
    @Option(help: .hidden) var baselineSeconds: Float?
    @Option(help: .hidden) var elevatedBaselineSeconds: Float?
    @Option(help: .hidden) var baselineElevation: Float?
    @Option(help: .hidden) var baselineStart: Float?

    func applied(to settings: DetectionSettings) -> DetectionSettings {
        var settings = settings
        if let on { settings.setThreshold(on) }
        if let off { settings.offThreshold = off }
        if let median { settings.medianFilterLength = median }
        if let sustainedLength { settings.sustainedLength = sustainedLength }
        if let sustainedExponent { settings.sustainedExponent = sustainedExponent }
        if let minimumLength { settings.minimumEventLength = minimumLength }
        if let gap { settings.minimumEventGap = gap }
        if let onsetLead { settings.maximumOnsetLead = onsetLead }
        if let windowSteps { settings.windowSteps = windowSteps }
        if let regularization { settings.transport.regularization = regularization }
        if let price { settings.transport.nothingPrice = price }
        if let labelRelaxation { settings.transport.labelRelaxation = labelRelaxation }
        if let matchedShare { settings.transport.matchedShare = matchedShare }
        if let bankShare { settings.transport.bankShare = bankShare }
        if let baselineSeconds { settings.baseline.seconds = baselineSeconds }
        if let elevatedBaselineSeconds { settings.baseline.elevatedSeconds = elevatedBaselineSeconds }
        if let baselineElevation { settings.baseline.elevation = baselineElevation }
        if let baselineStart { settings.baseline.start = baselineStart }
        return settings
    }
}
