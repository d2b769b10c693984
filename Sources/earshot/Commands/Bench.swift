import ArgumentParser
import AudioEmbedding
import AudioFeatures
import DetectionPipeline
import Foundation
import TensorKernels

struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Times the stages of the pipeline on one thread.",
        discussion: """
            CPU milliseconds per second of audio of each stage and of the whole, on noise with pulses in blocks of 10 ms as \
            a device delivers them, the median of the repeats; and peak memory of the process.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var labels: LabelOptions

    @Option(help: ArgumentHelp("Seconds of audio per repeat.", valueName: "s"))
    var seconds = 60

    @Option(help: ArgumentHelp("Repeats.", valueName: "n"))
    var repeats = 5

    @Flag(help: "Print one JSON object instead of a table.")
    var json = false

    func validate() throws {
        if seconds < 1 || repeats < 1 { throw ValidationError("--seconds and --repeats must be at least 1") }
    }

    func run() throws {
        flushSubnormals()
        useSingleBLASThread()
        let loading = cpuSeconds()
        let model = try self.model.load()
        let compiledFrom = cpuSeconds()
        let compiled = try self.model.compile(try labels.entries(for: model), for: model)
        let ready = cpuSeconds()
        let settings = try DetectionSettings(model)
        let samples = Self.noise(count: seconds * model.sampleRate)

        var frontEnd: [Double] = []
        var encoder: [Double] = []
        var whole: [Double] = []
        for _ in 0..<repeats {
            var logMel = try StreamingLogMel(model.configuration.frontEnd)
            frontEnd.append(time(samples, model: model) { chunk, frames in _ = logMel.process(chunk, into: frames) })
            var steps = try StepEncoder(model, maximumChunk: model.stepLength)
            encoder.append(time(samples, model: model) { chunk, _ in steps.process(chunk) { _ in } })
            var detector = try StreamDetector(model, labels: compiled, settings: settings)
            whole.append(time(samples, model: model) { chunk, _ in detector.process(chunk) { _ in } })
        }
        let perSecond = 1000 / Double(seconds)
        let (front, both, all) = (median(frontEnd), median(encoder), median(whole))
        let report = Report(
            model: model.configuration.name, labels: compiled.count,
            stepMilliseconds: 1000 * model.stepLength / model.sampleRate,
            frontEnd: rounded(front * perSecond, 3), encoder: rounded((both - front) * perSecond, 3),
            matching: rounded((all - both) * perSecond, 3), whole: rounded(all * perSecond, 3),
            realTimeFactor: rounded(all / Double(seconds), 6),
            loadModel: rounded((compiledFrom - loading) * 1000, 1),
            compileLabels: rounded((ready - compiledFrom) * 1000, 1),
            peakMemoryMegabytes: rounded(peakMegabytes(), 1), blas: blasCoreName())
        if json { try printJSON(report) } else { report.printTable() }
    }

    private struct Report: Encodable {
        let model: String
        let labels: Int
        let stepMilliseconds: Int
        /// CPU milliseconds per second of audio.
        let frontEnd: Double
        let encoder: Double
        let matching: Double
        let whole: Double
        let realTimeFactor: Double
        /// CPU milliseconds.
        let loadModel: Double
        let compileLabels: Double
        let peakMemoryMegabytes: Double
        let blas: String

        enum CodingKeys: String, CodingKey {
            case model, labels
            case stepMilliseconds = "step_ms"
            case frontEnd = "log_mel_ms_per_s"
            case encoder = "encoder_ms_per_s"
            case matching = "matching_ms_per_s"
            case whole = "pipeline_ms_per_s"
            case realTimeFactor = "real_time_factor"
            case loadModel = "load_model_ms"
            case compileLabels = "compile_labels_ms"
            case peakMemoryMegabytes = "peak_memory_mb"
            case blas
        }

        func printTable() {
            print("model \(model), \(labels) labels, step \(stepMilliseconds) ms, one thread, OpenBLAS \(blas)")
            print("CPU ms per second of audio")
            print("  log-mel              \(frontEnd)")
            print("  encoder              \(encoder)")
            print("  window to events     \(matching)")
            print("  whole pipeline       \(whole)   (real-time factor \(realTimeFactor))")
            print("start-up, CPU ms: model \(loadModel), labels \(compileLabels)")
            print("peak memory \(peakMemoryMegabytes) MB")
        }
    }

    /// CPU seconds of this thread for a pass over the samples in blocks of 10 ms.
    private func time(
        _ samples: [Float], model: DetectionModel,
        _ process: (UnsafeBufferPointer<Float>, UnsafeMutableBufferPointer<Float>) -> Void
    ) -> Double {
        let hop = model.configuration.frontEnd.hopLength
        var frames = [Float](repeating: 0, count: 8 * model.configuration.frontEnd.melCount)
        let start = cpuSeconds()
        samples.withUnsafeBufferPointer { samples in
            frames.withUnsafeMutableBufferPointer { frames in
                var position = 0
                while position < samples.count {
                    let end = min(position + hop, samples.count)
                    process(UnsafeBufferPointer(rebasing: samples[position..<end]), frames)
                    position = end
                }
            }
        }
        return cpuSeconds() - start
    }

    /// Reproducible noise whose level swells, so that no stage is idle.
    private static func noise(count: Int) -> [Float] {
        var state: UInt32 = 1
        return (0..<count).map { index in
            state = state &* 1_664_525 &+ 1_013_904_223
            let level = index / 16_000 % 4 == 0 ? Float(0.3) : 0.02
            return (Float(state >> 8) / Float(1 << 24) - 0.5) * level
        }
    }
}

/// CPU time of the calling thread in seconds.
private func cpuSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

private func peakMegabytes() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Double(usage.ru_maxrss) / 1024
}

private func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    return sorted[sorted.count / 2]
}
