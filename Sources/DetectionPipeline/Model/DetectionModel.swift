package import AudioEmbedding
import AudioFeatures
package import Labels

/// Everything of a model that detection shares: weights, banks and constants, loaded once.
package final class DetectionModel: Sendable {
    package let directory: ModelDirectory
    package let encoder: AudioEncoder
    package let projection: AudioProjection
    package let bank: ReferenceBank

    package var configuration: ModelConfiguration { directory.configuration }
    package var sampleRate: Int { configuration.frontEnd.sampleRate }
    /// Samples per encoder step.
    package var stepLength: Int { configuration.encoder.stepFrames * configuration.frontEnd.hopLength }

    /// ε of the clip protocols, in units of the cost |Lx − Ly|² / 2.
    package let clipRegularization: Double

    /// - Parameter path: A model directory (config.json, model.safetensors).
    /// - Throws: A one-line error that names the file and the field or tensor.
    package init(path: String) throws {
        directory = try ModelDirectory(path: path)
        encoder = try AudioEncoder(directory)
        projection = try AudioProjection(directory)
        bank = try ReferenceBank(directory)
        clipRegularization = try directory.constant("transport", "clip_regularization", in: 1e-4...1e3)
    }

    /// Embeds and calibrates a label set.
    ///
    /// - Parameters:
    ///   - entries: At least one label.
    ///   - textEncoder: The sentence encoder's directory; nil where it is not installed.
    ///   - cache: Directory of the embedding cache; nil for none.
    package func compile(_ entries: [LabelEntry], textEncoder: String?, cache: String?) throws -> CompiledLabels {
        let embedder = LabelEmbedder(
            model: directory, textEncoderDirectory: textEncoder, cacheDirectory: cache)
        return try CompiledLabels(entries, embedder: embedder, bank: bank)
    }
}

extension ModelDirectory {
    /// A constant of `config.json`.
    ///
    /// - Parameters:
    ///   - section: `transport` or `detection`.
    ///   - range: What makes sense for it.
    /// - Throws: `ModelError` that names a constant which is missing or out of range.
    func constant(_ section: String, _ name: String, in range: ClosedRange<Double>) throws -> Double {
        let constants = section == "transport" ? configuration.transport : configuration.detection
        guard let value = constants[name] else {
            throw ModelError(path: path(of: "config.json"), item: "\(section).\(name)", problem: "is missing")
        }
        guard range.contains(value) else {
            throw ModelError(
                path: path(of: "config.json"), item: "\(section).\(name)",
                problem: "is \(value) instead of \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }
}
