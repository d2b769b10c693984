package import AudioEmbedding
package import Labels
import AudioFeatures

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

    /// - Parameter path: A model directory (config.json, model.safetensors).
    /// - Throws: A one-line error that names the file and the field or tensor.
    package init(path: String) throws {
        directory = try ModelDirectory(path: path)
        encoder = try AudioEncoder(directory)
        projection = try AudioProjection(directory)
        bank = try ReferenceBank(directory)
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
