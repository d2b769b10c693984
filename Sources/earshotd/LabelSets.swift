import AudioEmbedding
import DaemonConfiguration
import DetectionPipeline
import Labels

/// The label sets of all sources, compiled; each distinct one once.
struct LabelSets: Sendable {
    private var bySource: [String: CompiledLabels] = [:]
    /// The label marginals of sources whose description could be used, by source.
    private(set) var weights: [String: [Float]] = [:]
    /// Why descriptions are not used.
    private(set) var warnings: [String] = []
    /// Every label once, in the order of the sources and their files.
    private(set) var entries: [LabelEntry] = []

    /// - Throws: `LabelFileError` that names file and line, or what the embedder throws.
    init(_ configuration: DaemonConfiguration, model: DetectionModel) throws {
        var compiled: [(settings: [LabelSetting], labels: CompiledLabels)] = []
        for source in configuration.sources {
            let settings = source.labels ?? configuration.labels
            let labels: CompiledLabels
            if let known = compiled.first(where: { $0.settings == settings }) {
                labels = known.labels
            } else {
                labels = try model.compile(
                    try LabelEntry.all(
                        of: settings, fallback: ResourceLocations.defaultLabelFile,
                        template: model.configuration.prompts.template),
                    textEncoder: configuration.textEncoderDirectory ?? ResourceLocations.textEncoder,
                    cache: configuration.cacheDirectory ?? ResourceLocations.cache)
                compiled.append((settings, labels))
            }
            bySource[source.name] = labels
            describe(source, labels, configuration: configuration, model: model)
            for entry in labels.entries where !entries.contains(where: { $0.name == entry.name }) {
                entries.append(entry)
            }
        }
    }

    private mutating func describe(
        _ source: SourceConfiguration, _ labels: CompiledLabels, configuration: DaemonConfiguration,
        model: DetectionModel
    ) {
        guard let description = source.description else { return }
        do {
            weights[source.name] = try model.labelWeights(
                for: description, labels: labels.entries,
                textEncoder: configuration.textEncoderDirectory ?? ResourceLocations.textEncoder,
                cache: configuration.cacheDirectory ?? ResourceLocations.cache)
        } catch {
            warnings.append("\(source.name): the description is not made use of: \(error)")
        }
    }

    /// Sets the score at which an event of a label begins, on all sources that listen for it.
    ///
    /// - Returns: Whether any does.
    mutating func setThreshold(_ threshold: Float, of label: String) -> Bool {
        var isKnown = false
        for source in bySource.keys where bySource[source]!.setThreshold(threshold, of: label) { isKnown = true }
        for index in entries.indices where entries[index].name == label { entries[index].threshold = threshold }
        return isKnown
    }

    subscript(source: String) -> CompiledLabels {
        guard let labels = bySource[source] else { preconditionFailure("\(source) is not a source") }
        return labels
    }
}
