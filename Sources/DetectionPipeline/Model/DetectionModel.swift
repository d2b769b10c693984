package import AudioEmbedding
import AudioFeatures
import Foundation
package import Labels
import OptimalTransport
import TensorKernels

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

    /// The label marginal that a source's description suggests: labels whose prompts are near to it in meaning are a little
    /// likelier there, none is ruled out.
    ///
    /// Late fusion of metadata after arXiv 2406.15897. The scale is modest by intent: a description is a hint, and what is
    /// unusual at a place is often what matters.
    ///
    /// - Parameters:
    ///   - textEncoder: The sentence encoder's directory, needed for a description that is not in the cache.
    ///   - cache: Directory of the embedding cache; nil for none.
    /// - Returns: [labels.count], with sum 1.
    /// - Throws: `MissingTextEncoderError`, or `ModelError` for a damaged text encoder.
    package func labelWeights(
        for description: String, labels: [LabelEntry], textEncoder: String?, cache: String?
    ) throws -> [Float] {
        let embedder = LabelEmbedder(
            model: directory, textEncoderDirectory: textEncoder, cacheDirectory: cache)
        let sentences = try embedder.sentenceEmbeddings(for: [description] + labels.flatMap(\.prompts))
        let place = sentences.row(0)
        var row = 1
        let priors = labels.map { label in
            let similarities = label.prompts.indices.map { index in
                zip(place, sentences.row(row + index)).reduce(Float(0)) { $0 + $1.0 * $1.1 }
            }
            row += label.prompts.count
            // Similarities of sentences lie between about 0 and 0.6: a factor of about ten.
            return exp((similarities.max() ?? 0) / 0.25)
        }
        return try labelMarginal(priors, uniformShare: 0.5)
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
