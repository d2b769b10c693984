import AudioEmbedding
import AudioFeatures
import EventDetection
import OptimalTransport
import TensorKernels

/// Samples in, one set of label scores per step out: front end, encoder, window, projection and matching of one stream.
///
/// A step's scores stand for the middle of the window that ends with it; ``Step/start`` is that place on the sample
/// clock. Owns all scratch; ``process(_:onStep:)`` neither allocates nor locks.
package struct StepScorer: ~Copyable {
    /// One step of the stream with its scores.
    package struct Step {
        /// First sample of the step that the scores stand for, on the sample clock.
        package let start: Int64
        /// [labelCount]: transported shares, in [0, 1].
        package let shares: UnsafeBufferPointer<Float>
        /// [labelCount]: similarities in units of each label's spread over background.
        package let standardisedScores: UnsafeBufferPointer<Float>
        /// Nothing but digital silence or a constant in the whole window.
        package let isSilent: Bool
        /// Largest AC level in the window, in dBFS; −∞ for silence.
        package let level: Float
    }

    private let stepLength: Int
    /// Where step 0's middle lies, less half a step, in samples.
    private let firstStepStart: Int64
    private let windowSteps: Int
    private var encoder: StepEncoder
    private var pooler: WindowPooler
    private var projection: AudioProjection
    private var embedding: [Float]
    private var matcher: LabelMatcher
    private let model: DetectionModel
    private var gate: ActivityGate
    private var levels: LevelRing
    /// Steps since the audio began or was interrupted.
    private var stepCount: Int64 = 0
    /// The sample clock where the audio began or went on after a loss.
    private var base: Int64
    /// Every so many windows one is matched, and the scores of the others are those of the one before; at least 1.
    package var windowStride = 1
    /// Windows are not matched at all and count as silent; the encoder goes on hearing.
    package var isPaused = false
    /// Windows that were not matched because of ``windowStride``.
    package private(set) var skippedWindows = 0

    /// - Parameters:
    ///   - clockStart: Sample clock of the first sample.
    /// - Throws: `TransportError` where the labels' scores cannot be matched.
    package init(
        _ model: DetectionModel, labels: CompiledLabels, settings: DetectionSettings, clockStart: Int64 = 0
    ) throws {
        // What throws comes first: a value that cannot be copied must not be left half-made.
        let matcher = try Self.matcher(for: labels, settings: settings, model: model)
        let encoder = try StepEncoder(model, maximumChunk: model.stepLength)
        let configuration = model.configuration
        stepLength = model.stepLength
        let frontEnd = configuration.frontEnd
        let middle =
            Double(configuration.encoder.centerFrames) * Double(frontEnd.hopLength) + Double(frontEnd.windowLength) / 2
        firstStepStart = Int64(middle.rounded()) - Int64(stepLength / 2)
        windowSteps = settings.windowSteps
        pooler = WindowPooler(windowSteps: windowSteps, size: configuration.encoder.embeddingSize)
        embedding = [Float](repeating: 0, count: configuration.projection.embeddingSize)
        self.model = model
        gate = ActivityGate(stepLength: stepLength, minimumLevel: settings.silenceLevel)
        let lookahead = configuration.encoder.lookaheadSamples / stepLength
        levels = LevelRing(capacity: windowSteps + lookahead + 8, stepLength: stepLength)
        base = clockStart
        self.encoder = encoder
        self.matcher = matcher
        projection = AudioProjection(sharing: model.projection)
    }

    package var labels: CompiledLabels { matcher.labels }

    /// - Parameters:
    ///   - samples: At the model's rate, any number.
    ///   - onStep: Called for each step that becomes known; its buffers are valid during the call.
    package mutating func process(_ samples: UnsafeBufferPointer<Float>, onStep: (Step) -> Void) {
        // Step by step: the levels reach back only as far as a window does.
        for start in stride(from: 0, to: samples.count, by: stepLength) {
            let end = min(start + stepLength, samples.count)
            score(UnsafeBufferPointer(rebasing: samples[start..<end]), onStep: onStep)
        }
    }

    private mutating func score(_ samples: UnsafeBufferPointer<Float>, onStep: (Step) -> Void) {
        gate.process(samples) { levels.push($0) }
        encoder.process(samples) { step in
            pooler.push(step.baseAddress!)
            let index = stepCount
            stepCount += 1
            if !isPaused, index % Int64(windowStride) == 0 {
                pooler.pooled.withUnsafeBufferPointer { pooled in
                    embedding.withUnsafeMutableBufferPointer { projection.project(pooled, into: $0) }
                }
                embedding.withUnsafeBufferPointer { matcher.match($0) }
            } else if !isPaused {
                skippedWindows += 1
            }
            let newest = firstStepStart + index * Int64(stepLength)
            let oldest = newest - Int64((windowSteps - 1) * stepLength)
            let (isSilent, level) = levels.window(from: oldest, through: newest + Int64(stepLength) - 1)
            // A trailing window stands for its middle, which lies behind its newest step.
            let start = (oldest + newest) / 2
            matcher.shares.withUnsafeBufferPointer { shares in
                matcher.standardisedScores.withUnsafeBufferPointer { standardised in
                    onStep(
                        Step(
                            start: base + start, shares: shares,
                            standardisedScores: standardised, isSilent: isSilent || isPaused, level: level))
                }
            }
        }
    }

    /// Matches against other labels, and judges silence by other settings, from the next step on; the audio heard so far
    /// stays, what is usual of labels that stay, and the window's length, which belongs to the model.
    package mutating func replace(labels: CompiledLabels, settings: DetectionSettings) throws {
        var next = try Self.matcher(for: labels, settings: settings, model: model)
        next.keepBaseline(of: matcher)
        matcher = next
        gate.minimumLevel = settings.silenceLevel
    }

    private static func matcher(
        for labels: CompiledLabels, settings: DetectionSettings, model: DetectionModel
    ) throws -> LabelMatcher {
        let stepSeconds = Float(model.stepLength) / Float(model.sampleRate)
        let baseline = ScoreBaseline(settings.baseline, labelCount: labels.count, stepSeconds: stepSeconds)
        return try LabelMatcher(
            labels, configuration: settings.transport, baseline: baseline, labelWeights: settings.labelWeights)
    }

    /// Begins anew at another place of the sample clock: after lost audio.
    package mutating func restart(at clock: Int64) {
        base = clock
        stepCount = 0
        encoder.reset()
        pooler.reset()
        matcher.reset()
        gate.restart(at: 0)
        levels.reset()
    }
}

/// The newest gate steps, by their number since the audio began or was interrupted.
private struct LevelRing {
    private let stepLength: Int
    private var levels: [Float]
    private var silent: [Bool]
    private var count = 0

    init(capacity: Int, stepLength: Int) {
        self.stepLength = stepLength
        levels = [Float](repeating: -.infinity, count: capacity)
        silent = [Bool](repeating: true, count: capacity)
    }

    mutating func push(_ step: ActivityGate.Step) {
        levels[count % levels.count] = step.level
        silent[count % silent.count] = step.isSilent
        count += 1
    }

    /// Whether every known step that touches the samples is silent, and the largest level among them.
    func window(from first: Int64, through last: Int64) -> (isSilent: Bool, level: Float) {
        var (isSilent, level) = (true, -Float.infinity)
        for step in known(first)...max(known(first), known(last)) {
            isSilent = isSilent && silent[step % silent.count]
            level = max(level, levels[step % levels.count])
        }
        return (isSilent, level)
    }

    private func known(_ sample: Int64) -> Int {
        let step = Int(max(sample, 0)) / stepLength
        return min(max(step, count - levels.count, 0), max(count - 1, 0))
    }

    mutating func reset() {
        count = 0
    }
}
