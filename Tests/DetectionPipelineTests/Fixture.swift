import AudioCapture
import AudioEmbedding
import DetectionPipeline
import Foundation
import Labels
import TensorKernels
import TestSupport
import Testing

/// A model that hears every sound as an event of its labels, whatever the trained weights are; loaded once.
enum Fixture {
    static let names = ["dog", "siren", "rain", "clock", "knock"]

    private static let folder: String = {
        let path = NSTemporaryDirectory() + "earshot-pipeline-\(UUID().uuidString)"
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        atexit { try? FileManager.default.removeItem(atPath: Fixture.folder) }
        return path
    }()

    private static let loaded: Result<DetectionModel, any Error> = Result {
        // As in the programs: OpenBLAS's threads wait for each other in a busy loop, which starves a loaded machine.
        useSingleBLASThread()
        let prompts = names.map(prompt) + names.map { "another \($0)" }
        let path = try #require(try makeDerivedModel(in: folder, prompts: prompts), "the checkout has no model")
        return try DetectionModel(path: path)
    }

    static func model() throws -> DetectionModel { try loaded.get() }

    private static func prompt(_ name: String) -> String { "This is a sound of \(name)." }

    /// A label with its prompt of the template, and a second one on demand.
    static func entry(_ name: String, threshold: Float? = nil, hasTwoPrompts: Bool = false) -> LabelEntry {
        LabelEntry(
            name: name, prompts: [prompt(name)] + (hasTwoPrompts ? ["another \(name)"] : []), threshold: threshold)
    }

    static func labels(_ names: [String] = names, threshold: Float? = nil) throws -> CompiledLabels {
        try compile(names.map { entry($0, threshold: threshold) })
    }

    static func compile(_ entries: [LabelEntry]) throws -> CompiledLabels {
        try model().compile(entries, textEncoder: nil, cache: nil)
    }

    /// A recording with sounds of several kinds, and silence between them.
    static let recording: [Float] =
        silence(seconds: 1) + noise(seconds: 1.5) + silence(seconds: 2)
        + (0..<48_000).map { Float(sin(Double($0) * 0.1)) * 0.3 } + silence(seconds: 2.5) + noise(seconds: 1, seed: 3)

    /// All scores of a recording, taken in chunks of that length.
    static func scores(
        _ samples: [Float], chunk: Int, labels: CompiledLabels? = nil
    ) throws -> (starts: [Int64], standardised: [Float], shares: [Float], isSilent: [Bool]) {
        var scorer = try StepScorer(
            model(), labels: labels ?? Fixture.labels(), settings: DetectionSettings(model()))
        var result: (starts: [Int64], standardised: [Float], shares: [Float], isSilent: [Bool]) = ([], [], [], [])
        forEachChunk(of: samples, chunk) { samples in
            scorer.process(samples) { step in
                result.starts.append(step.start)
                result.standardised += Array(step.standardisedScores)
                result.shares += Array(step.shares)
                result.isSilent.append(step.isSilent)
            }
        }
        return result
    }
}

func forEachChunk(of samples: [Float], _ length: Int, _ body: (UnsafeBufferPointer<Float>) -> Void) {
    samples.withUnsafeBufferPointer { samples in
        for start in stride(from: 0, to: samples.count, by: length) {
            body(UnsafeBufferPointer(rebasing: samples[start..<min(start + length, samples.count)]))
        }
    }
}

extension StreamDetector {
    mutating func events(_ samples: [Float], chunk: Int = 1280) -> [EventReport] {
        var events: [EventReport] = []
        forEachChunk(of: samples, chunk) { process($0) { if case .event(let event) = $0 { events.append(event) } } }
        return events
    }

    mutating func skipped(_ count: Int) -> [EventReport] {
        var events: [EventReport] = []
        skip(count) { if case .event(let event) = $0 { events.append(event) } }
        return events
    }

    mutating func finished() -> [EventReport] {
        var events: [EventReport] = []
        finish { if case .event(let event) = $0 { events.append(event) } }
        return events
    }
}
