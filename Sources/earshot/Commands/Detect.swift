import ArgumentParser
import AudioCapture
import DetectionPipeline

struct Detect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lists the events of recordings, as fast as they can be read.",
        discussion: """
            Prints a line per event, in the order of their ends: source, label, onset and offset in seconds, score in \
            0...1. The daemon first learns what is usual in a place; here a recording is heard as attentively at its \
            beginning as later on. A file that cannot be read in full is reported on standard error; the events up to \
            there are listed, and the exit status is 2.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var labels: LabelOptions

    @Flag(help: "Print JSON lines instead of a table.")
    var jsonl = false

    @Option(help: ArgumentHelp("Sample rate of raw audio on standard input, in Hz.", valueName: "hz"))
    var rate = 32_000

    @Flag(help: "Read at the pace of the audio.")
    var realtime = false

    @Option(help: ArgumentHelp("Channel to listen to, from 1; default: the mean of all.", valueName: "n"))
    var channel: Int?

    @Option(help: ArgumentHelp("Score from which an event begins, instead of the model's.", valueName: "0..1"))
    var threshold: Float?

    @Argument(help: "alsa:DEVICE, a path, or - (raw s16le mono at --rate).")
    var sources: [String]

    func validate() throws {
        if let threshold, !(threshold > 0 && threshold <= 1) {
            throw ValidationError("--threshold \(threshold) is wrong; it must be above 0 and at most 1")
        }
    }

    func run() throws {
        let model = try self.model.load()
        let compiled = try self.model.compile(try labels.entries(for: model), for: model)
        var settings = try DetectionSettings(model)
        if let threshold { settings.setThreshold(threshold) }
        var hadProblems = false
        for source in sources {
            do {
                var input = AudioInput.Configuration(
                    source: try SourceSpecification(source), modelSampleRate: model.sampleRate,
                    pacing: realtime ? .realtime : .fullSpeed, standardInputRate: rate)
                if let channel { input.channel = .index(channel) }
                var settings = settings
                switch input.source {
                case .alsa: break
                // A recording may begin with the very sound that is looked for.
                case .file, .standardInput: settings.baseline.start = 0
                }
                try detect(source, try AudioInput(input), model: model, labels: compiled, settings: settings)
            } catch {
                guard isInputProblem(error) else { throw error }
                hadProblems = true
                complain(String(describing: error))
            }
        }
        if hadProblems { throw ExitCode(2) }
    }

    private func detect(
        _ source: String, _ input: AudioInput, model: DetectionModel, labels: CompiledLabels,
        settings: DetectionSettings
    ) throws {
        var detector = try StreamDetector(model, labels: labels, settings: settings)
        let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: model.stepLength)
        defer { buffer.deallocate() }
        let rate = Double(model.sampleRate)
        func show(_ content: SourceReport.Content) {
            guard case .event(let event) = content, let offset = event.offsetSample else { return }
            report(
                DetectedEvent(
                    source: source, label: event.label, onset: rounded(Double(event.onsetSample) / rate, 3),
                    offset: rounded(Double(offset) / rate, 3), score: rounded(Double(event.score), 4)))
        }
        var failure: (any Error)?
        reading: while true {
            do {
                switch try input.next(into: buffer, timeout: .seconds(1)) {
                case .samples(let count):
                    detector.process(UnsafeBufferPointer(rebasing: buffer[..<count]), report: show)
                case .gap(let lost, let reason):
                    complain("\(source): \(rounded(Double(lost) / rate, 3)) s of audio lost (\(reason.rawValue))")
                    detector.skip(lost, report: show)
                case .idle: continue
                case .ended: break reading
                }
            } catch {
                failure = error
                break
            }
        }
        detector.finish(report: show)
        if let failure { throw failure }
    }

    private func report(_ event: DetectedEvent) {
        if jsonl {
            try? printJSON(event)
        } else {
            print("\(event.source)\t\(event.label)\t\(event.onset)\t\(event.offset)\t\(event.score)")
        }
    }
}

/// A line of `earshot detect --jsonl`; times in seconds.
struct DetectedEvent: Encodable {
    let source: String
    let label: String
    let onset: Double
    let offset: Double
    let score: Double
}
