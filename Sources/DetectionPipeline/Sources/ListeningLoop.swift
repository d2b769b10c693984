import AudioCapture
import Foundation
import Glibc
import Synchronization
import TensorKernels

/// The work of a source's inference thread.
struct ListeningLoop {
    private let configuration: SourceListener.Configuration
    private let model: DetectionModel
    private let state: SourceState
    private let wantsTop: @Sendable () -> Bool
    private let report: @Sendable (SourceReport) -> Void
    private let isDevice: Bool

    // What goes on when the source is opened again.
    private var settings: SourceListener.Settings
    private var silence: SilenceWatch
    private var clock: StreamClock
    private var nextEvent: UInt64 = 0
    private var position: Int64 = 0
    private var skippedBefore = 0
    private var hasBeenUp = false
    private var retryDelay: Duration

    init(
        _ configuration: SourceListener.Configuration, model: DetectionModel, settings: SourceListener.Settings,
        state: SourceState, wantsTop: @escaping @Sendable () -> Bool,
        report: @escaping @Sendable (SourceReport) -> Void
    ) {
        self.configuration = configuration
        self.model = model
        self.settings = settings
        self.state = state
        self.wantsTop = wantsTop
        self.report = report
        if case .alsa = configuration.input.source { isDevice = true } else { isDevice = false }
        silence = SilenceWatch(limit: settings.silentAfter)
        clock = StreamClock(isPaced: isDevice || configuration.input.pacing == .realtime)
        retryDelay = configuration.firstRetryDelay
    }

    /// Listens until the source has ended or it is told to stop; a device that fails is opened again.
    mutating func run() {
        flushSubnormals()
        while !state.mustStop {
            do {
                guard let input = try open() else { break }
                try listen(to: input)
                if isDevice, !state.mustStop {
                    throw AudioCaptureError(.device, "\(configuration.input.source): the device has ended")
                }
                state.set(.ended)
                send(.ended(problem: nil))
                return
            } catch {
                let problem = String(describing: error)
                guard isDevice, !state.mustStop else {
                    state.set(.ended, problem: problem)
                    send(.ended(problem: problem))
                    return
                }
                goDown(problem)
                wait(retryDelay)
                retryDelay = min(retryDelay * 2, configuration.longestRetryDelay)
            }
        }
        state.set(.ended)
    }

    // MARK: Opening

    /// Opens the source as soon as what is left of the last attempt is gone. Nil if it is told to stop before.
    private mutating func open() throws -> AudioInput? {
        let source = configuration.input.source
        while let stuck = state.guarded.withLock({ $0.abandoned }), !state.mustStop {
            state.turn()
            if stuck.hasFinished {
                state.guarded.withLock { $0.abandoned = nil }
            } else {
                goDown("\(source): the device hangs; it is opened again when it comes back")
                usleep(50_000)
            }
        }
        let opening = try AudioInputOpening(configuration.input)
        let limit = ContinuousClock.now + configuration.stallLimit
        while !state.mustStop {
            state.turn()
            if let input = try opening.input(timeout: .milliseconds(100)) { return input }
            if .now > limit {
                goDown(
                    "\(source): hangs while it is opened, for more than \(configuration.stallLimit.components.seconds) s"
                )
            }
        }
        return nil
    }

    /// Tells of a failure, unless it was told of last.
    private mutating func goDown(_ problem: String) {
        guard state.guarded.withLock({ $0.problem != problem || $0.state != .down }) else { return }
        state.set(.down, problem: problem)
        send(.down(reason: problem))
    }

    /// The first audio of an opened source has come.
    private mutating func goUp(_ opening: String) {
        state.guarded.withLock { guarded in
            guarded.state = .up
            guarded.opening = opening
            guarded.problem = nil
            if hasBeenUp { guarded.restarts += 1 }
        }
        send(hasBeenUp ? .recovered(reason: opening) : .up(opening: opening))
        hasBeenUp = true
        retryDelay = configuration.firstRetryDelay
    }

    // MARK: Listening

    /// Detects until the source ends; open events are ended however it leaves.
    private mutating func listen(to input: AudioInput) throws {
        state.guarded.withLock { guarded in
            guarded.handle = input.handle
            guarded.opening = input.opening
        }
        var stoodStill = false
        defer { state.retire(input.handle, hasEnded: input.handle.stop(), stoodStill: stoodStill) }
        if state.mustStop { input.handle.requestStop() }
        clock.restart()
        state.windowStride.store(1, ordering: .relaxed)
        silence = SilenceWatch(limit: settings.silentAfter)
        var detector = try StreamDetector(
            model, labels: settings.labels, settings: settings.detection, nextEvent: nextEvent, clockStart: position)
        defer {
            detector.finish { send($0) }
            nextEvent = detector.nextEvent
            position = detector.clock
            skippedBefore += detector.skippedWindows
        }
        let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: model.stepLength / 4)
        defer { buffer.deallocate() }
        let ring = Double(input.handle.statistics.ringCapacity) / Double(input.sourceSampleRate)
        var widening = WindowWidening(ringLength: ring)
        var isFlowing = false
        var idleSince: ContinuousClock.Instant?
        var captureTurns = 0
        // Work on the samples of the step that is not complete yet.
        var stepNanoseconds: Int64 = 0
        while true {
            state.turn()
            if state.hasPending.exchange(false, ordering: .acquiring) { try takeSettings(&detector) }
            detector.reportsTop = wantsTop()
            switch try input.next(into: buffer, timeout: .milliseconds(500)) {
            case .samples(let count):
                idleSince = nil
                if !isFlowing {
                    isFlowing = true
                    goUp(input.opening)
                }
                let backlog = input.handle.backlogSeconds
                observeClock(detector.clock + Int64(count), backlog: backlog)
                if !input.handle.isLossless {
                    widen(&widening, &detector, backlog: backlog, seconds: seconds(count))
                }
                let stepsBefore = detector.stepCount
                let begin = monotonicNanoseconds()
                detector.process(UnsafeBufferPointer(rebasing: buffer[..<count])) { send($0) }
                stepNanoseconds += monotonicNanoseconds() - begin
                if detector.stepCount > stepsBefore {
                    state.stepTimes.record(
                        nanoseconds: stepNanoseconds, steps: detector.stepCount - stepsBefore)
                    stepNanoseconds = 0
                }
                state.processedSamples.wrappingAdd(count, ordering: .relaxed)
                state.skippedWindows.store(skippedBefore + detector.skippedWindows, ordering: .relaxed)
                state.levelBits.store(detector.levelDecibels.bitPattern, ordering: .relaxed)
                watchSilence(&detector, seconds: seconds(count))
            case .gap(let lost, let reason):
                let from = detector.clock
                detector.skip(lost) { send($0) }
                observeClock(detector.clock, backlog: input.handle.backlogSeconds)
                state.gapCount.wrappingAdd(1, ordering: .relaxed)
                state.lostSamples.wrappingAdd(lost, ordering: .relaxed)
                send(.gap(fromSample: from, lostSamples: lost, reason: reason.rawValue))
            case .idle:
                if idleSince == nil { captureTurns = input.handle.progress }
                let since = idleSince ?? .now
                idleSince = since
                stoodStill = input.handle.progress == captureTurns
                if isDevice, .now - since > configuration.stallLimit {
                    throw AudioCaptureError(
                        .device,
                        "\(configuration.input.source): no audio for \(configuration.stallLimit.components.seconds) s")
                }
            case .ended:
                return
            }
        }
    }

    private mutating func takeSettings(_ detector: inout StreamDetector) throws {
        guard let next = state.guarded.withLock({ $0.pending.take() }) else { return }
        try detector.replace(labels: next.labels, settings: next.detection) { send($0) }
        settings = next
        silence.limit = next.silentAfter
    }

    private mutating func widen(
        _ widening: inout WindowWidening, _ detector: inout StreamDetector, backlog: Double, seconds: Double
    ) {
        let before = detector.windowStride
        if settings.widensUnderLoad {
            guard widening.observe(backlog: backlog, seconds: seconds) else { return }
            detector.windowStride = widening.stride
        } else {
            detector.windowStride = 1
        }
        if detector.windowStride != before {
            state.windowStride.store(detector.windowStride, ordering: .relaxed)
            send(.widened(stride: detector.windowStride))
        }
    }

    private mutating func watchSilence(_ detector: inout StreamDetector, seconds: Double) {
        switch silence.observe(level: detector.levelDecibels, seconds: seconds) {
        case .fellSilent:
            detector.isPaused = true
            let text = "nothing but digital silence or a constant for \(Int(settings.silentAfter)) s"
            state.set(.silent, problem: text)
            send(.silent(reason: text))
        case .isHeardAgain(let seconds):
            detector.isPaused = false
            state.set(.up)
            send(.recovered(reason: "there is sound again after \(Int(seconds)) s"))
        case nil: break
        }
    }

    // MARK: Time and reports

    private func seconds(_ samples: Int) -> Double { Double(samples) / Double(model.sampleRate) }

    /// - Parameters:
    ///   - sample: The sample clock behind the newest sample taken.
    ///   - backlog: Seconds of audio captured after it.
    private mutating func observeClock(_ sample: Int64, backlog: Double) {
        clock.observe(seconds(Int(sample)) + backlog, at: .now())
    }

    private func send(_ content: SourceReport.Content) {
        if case .event(let event) = content, event.kind == .onset {
            state.eventCount.wrappingAdd(1, ordering: .relaxed)
        }
        report(
            SourceReport(
                source: configuration.name, content: content, clockZero: Date(timeIntervalSince1970: clock.zero),
                sampleRate: model.sampleRate))
    }

    /// Sleeps in short turns, so that stopping and the watchdog see a live loop.
    private func wait(_ delay: Duration) {
        let end = ContinuousClock.now + delay
        while ContinuousClock.now < end, !state.mustStop {
            state.turn()
            usleep(50_000)
        }
    }
}
