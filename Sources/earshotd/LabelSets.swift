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
                    try Self.entries(of: settings, template: model.configuration.prompts.template),
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

    subscript(source: String) -> CompiledLabels {
        guard let labels = bySource[source] else { preconditionFailure("\(source) is not a source") }
        return labels
    }

    private static func entries(of settings: [LabelSetting], template: String) throws -> [LabelEntry] {
        var entries: [LabelEntry] = []
        var origin: [String: String] = [:]
        var settings = settings
        if settings.isEmpty, let directory = ResourceLocations.labels {
            settings = [.file(directory + "/home-safety.txt")]
        }
        for setting in settings {
            let (path, found): (String, [LabelEntry])
            switch setting {
            case .file(let file): (path, found) = (file, try LabelFile(path: file, template: template).entries)
            case .text(let text, let line):
                (path, found) = (
                    "labels",
                    try LabelFile(bytes: Array(text.utf8), path: "labels, line \(line)", template: template).entries
                )
            }
            for entry in found {
                if let first = origin[entry.name.lowercased()] {
                    throw LabelFileError(
                        path: path, line: entry.line, reason: "label \"\(entry.name)\" is already in \(first)")
                }
                origin[entry.name.lowercased()] = path
                entries.append(entry)
            }
        }
        guard !entries.isEmpty else {
            throw LabelFileError(path: "labels", reason: "no label is configured; name a label file")
        }
        return entries
    }
}
