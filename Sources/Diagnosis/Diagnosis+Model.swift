import AudioEmbedding
import AudioFeatures
import DaemonConfiguration
import DetectionPipeline
import Foundation
import Labels
import TensorKernels

extension Diagnosis {
    /// The model, its self-test, the label files, and whether every label has an embedding.
    func checkModelAndLabels() -> [Finding] {
        guard let path = configuration.modelDirectory ?? ResourceLocations.model else {
            return [
                .fail(
                    "model", "there is none",
                    "install one below PREFIX/share/earshot/models, or name it with `model` in the configuration")
            ]
        }
        let model: DetectionModel
        do {
            model = try DetectionModel(path: path)
            _ = try DetectionSettings(model)
        } catch {
            return [.fail("model", "\(error)", "install the model again (make install)")]
        }
        var findings = [Finding.ok("model", "\(model.configuration.name) in \(path)"), checkGolden(model)]
        var sets: [[LabelSetting]] = []
        for source in configuration.sources {
            let settings = source.labels ?? configuration.labels
            if !sets.contains(settings) { sets.append(settings) }
        }
        for settings in sets { findings += checkLabels(settings, model) }
        return findings
    }

    /// Whether the encoder computes here what it did for the trainer.
    private func checkGolden(_ model: DetectionModel) -> Finding {
        let path = model.directory.path(of: "golden.safetensors")
        guard FileManager.default.fileExists(atPath: path) else {
            return .ok("model test", "not done: the model has no golden.safetensors (an installed one has none)")
        }
        do {
            let size = model.configuration.encoder.embeddingSize
            let golden = try SafetensorsFile(path: path)
            let logMel = try golden.matrix("logmel", columnCount: model.configuration.frontEnd.melCount)
            let expected = try golden.matrix("steps", columnCount: size).values
            let steps = Self.steps(of: logMel, model, size: size)
            guard steps.count == expected.count else {
                return .fail(
                    "model test", "\(steps.count / size) steps instead of \(expected.count / size)", Self.reinstall)
            }
            let scale = (expected.reduce(0) { $0 + $1 * $1 } / Float(max(expected.count, 1))).squareRoot()
            let deviation = zip(steps, expected).reduce(Float(0)) { max($0, abs($1.0 - $1.1)) } / scale
            guard deviation < 0.01 else {
                return .fail("model test", "the encoder's steps are off by \(deviation) of their level", Self.reinstall)
            }
            return .ok("model test", "\(steps.count / size) steps of the golden file are reproduced")
        } catch {
            return .fail("model test", "\(error)", Self.reinstall)
        }
    }

    private static let reinstall = "install model and program again; if that does not help, report the processor's type"

    private static func steps(of logMel: Matrix, _ model: DetectionModel, size: Int) -> [Float] {
        let chunk = 16
        var stream = StreamingAudioEncoder(model.encoder, maximumFrames: chunk)
        var part = [Float](repeating: 0, count: stream.stepCapacity(forFrameCount: chunk) * size)
        var steps: [Float] = []
        for begin in stride(from: 0, to: logMel.rowCount, by: chunk) {
            let count = min(chunk, logMel.rowCount - begin)
            let columns = logMel.columnCount
            let frames = Array(logMel.values[begin * columns..<(begin + count) * columns])
            let written = frames.withUnsafeBufferPointer { frames in
                part.withUnsafeMutableBufferPointer { stream.process(frames, frameCount: count, into: $0) }
            }
            steps += part.prefix(written * size)
        }
        return steps
    }

    private func checkLabels(_ settings: [LabelSetting], _ model: DetectionModel) -> [Finding] {
        let entries: [LabelEntry]
        do {
            entries = try LabelEntry.all(
                of: settings, fallback: ResourceLocations.defaultLabelFile,
                template: model.configuration.prompts.template)
        } catch {
            return [.fail("labels", "\(error)", "mend that line; `earshot labels check FILE` finds all")]
        }
        let parsed = Finding.ok("labels", "\(entries.count) labels, \(entries[0].name) to \(entries.last!.name)")
        let encoder = configuration.textEncoderDirectory ?? ResourceLocations.textEncoder
        do {
            // Without the text encoder: what is bundled with the model or cached already.
            _ = try model.compile(
                entries, textEncoder: nil, cache: configuration.cacheDirectory ?? ResourceLocations.cache)
            return [parsed, .ok("text encoder", "not needed: all labels have their embeddings")]
        } catch let missing as MissingTextEncoderError {
            do {
                // No cache: it would be left with files of the wrong owner.
                _ = try model.compile(entries, textEncoder: encoder, cache: nil)
                return [
                    parsed, .ok("text encoder", "embeds \(missing.prompts.count) prompts, from \(encoder ?? "")"),
                ]
            } catch {
                return [
                    parsed,
                    .fail(
                        "text encoder", "\(missing.prompts.count) prompts need it: \(error)",
                        "install it (make text-encoder, then make install), or use the bundled labels"),
                ]
            }
        } catch {
            return [parsed, .fail("text encoder", "\(error)", "install the model again (make install)")]
        }
    }
}
