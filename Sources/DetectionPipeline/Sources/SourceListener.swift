package import AudioCapture
import Foundation
import Glibc
import Synchronization
import TensorKernels

/// Listens to one source for as long as it lives: opens it, detects on a thread of its own, opens it again when it fails.
///
/// Two threads belong to a source: the capture thread inside `AudioInput`, and the inference thread here. They meet only
/// in the lock-free sample ring. A label set for the next step is handed over under a lock that the inference thread
/// takes only when an atomic says that there is one.
package final class SourceListener: Sendable {
    package struct Configuration: Sendable {
        package var name: String
        package var input: AudioInput.Configuration
        package var detection: DetectionSettings
        /// Wait before a failed device is opened again; doubles up to `longestRetryDelay`.
        package var firstRetryDelay = Duration.milliseconds(500)
        package var longestRetryDelay = Duration.seconds(30)
        /// A device that delivers nothing for so long counts as failed.
        package var stallLimit = Duration.seconds(5)

        package init(name: String, input: AudioInput.Configuration, detection: DetectionSettings) {
            self.name = name
            self.input = input
            self.detection = detection
        }
    }

    package enum State: String, Sendable {
        case starting, up, down, ended
    }

    /// Figures of a source since the start, for `status`.
    package struct Snapshot: Sendable {
        package var state: State
        package var opening: String
        package var problem: String?
        package var audioSeconds: Double
        package var gaps: Int
        package var lostSeconds: Double
        package var overruns: Int
        package var droppedFrames: Int
        package var backlogSeconds: Double
        package var events: Int
        package var restarts: Int
        package var levelDecibels: Float
    }

    private struct Shared {
        var state = State.starting
        var opening = ""
        var problem: String?
        var handle: CaptureHandle?
        var restarts = 0
        /// Overruns and dropped frames of inputs that are closed already.
        var pastOverruns = 0
        var pastDropped = 0
        var pending: (labels: CompiledLabels, detection: DetectionSettings)?
        var thread: WorkerThread?
    }

    package let configuration: Configuration
    private let model: DetectionModel
    private let initialLabels: CompiledLabels
    private let wantsTop: @Sendable () -> Bool
    private let report: @Sendable (SourceReport) -> Void
    private let shared = Mutex(Shared())
    private let hasPending = Atomic(false)
    private let isStopping = Atomic(false)
    private let turns = Atomic(0)
    private let processedSamples = Atomic(0)
    private let gapCount = Atomic(0)
    private let lostSamples = Atomic(0)
    private let eventCount = Atomic(0)
    /// UTC of the sample clock's zero, as the bits of seconds since the reference date.
    private let clockZeroBits = Atomic(Double(0).bitPattern)
    private let levelBits = Atomic(Float(-200).bitPattern)

    /// - Parameters:
    ///   - wantsTop: Whether each step's ranking is to be reported now; asked on the inference thread, must not block.
    ///   - report: Called on the inference thread, in order; must not block.
    package init(
        _ configuration: Configuration, model: DetectionModel, labels: CompiledLabels,
        wantsTop: @escaping @Sendable () -> Bool = { false }, report: @escaping @Sendable (SourceReport) -> Void
    ) {
        self.wantsTop = wantsTop
        self.configuration = configuration
        self.model = model
        initialLabels = labels
        self.report = report
    }

    /// Starts the inference thread, which opens the source.
    package func start() throws {
        let thread = try WorkerThread(name: "infer-\(configuration.name)") { [self] in run() }
        shared.withLock { $0.thread = thread }
    }

    /// Ends both threads; open events are ended first.
    ///
    /// - Returns: false where a thread is stuck and was left behind.
    @discardableResult
    package func stop(timeout: Duration = .seconds(3)) -> Bool {
        isStopping.store(true, ordering: .releasing)
        let (handle, thread) = shared.withLock { ($0.handle, $0.thread) }
        handle?.requestStop()
        return thread?.join(timeout: timeout) ?? true
    }

    /// Replaces what is listened for and how, from the next step on; no audio is lost.
    package func replace(labels: CompiledLabels, detection: DetectionSettings) {
        shared.withLock { $0.pending = (labels, detection) }
        hasPending.store(true, ordering: .releasing)
    }

    /// Turns of the inference loop, for the watchdog: it moves at least once per second while the loop is alive, and
    /// stands still while a stage is stuck.
    package var progress: Int { turns.load(ordering: .relaxed) }

    package var hasEnded: Bool { shared.withLock { $0.state == .ended } }

    package var snapshot: Snapshot {
        let rate = Double(model.sampleRate)
        return shared.withLock { shared in
            let capture = shared.handle?.statistics
            return Snapshot(
                state: shared.state, opening: shared.opening, problem: shared.problem,
                audioSeconds: Double(processedSamples.load(ordering: .relaxed)) / rate,
                gaps: gapCount.load(ordering: .relaxed),
                lostSeconds: Double(lostSamples.load(ordering: .relaxed)) / rate,
                overruns: shared.pastOverruns + (capture?.overrunCount ?? 0),
                droppedFrames: shared.pastDropped + (capture?.framesDropped ?? 0),
                backlogSeconds: capture?.backlogSeconds ?? 0,
                events: eventCount.load(ordering: .relaxed), restarts: shared.restarts,
                levelDecibels: Float(bitPattern: levelBits.load(ordering: .relaxed)))
        }
    }

    // MARK: The inference thread

    /// What goes on when a source is opened again.
    private struct Continuation {
        var labels: CompiledLabels
        var detection: DetectionSettings
        var nextEvent: UInt64 = 0
        var clock: Int64 = 0
    }

    private func run() {
        flushSubnormals()
        var state = Continuation(labels: initialLabels, detection: configuration.detection)
        var hasBeenUp = false
        var delay = configuration.firstRetryDelay
        let isDevice: Bool
        if case .alsa = configuration.input.source { isDevice = true } else { isDevice = false }
        while !isStopping.load(ordering: .acquiring) {
            do {
                let input = try AudioInput(configuration.input)
                shared.withLock { shared in
                    shared.handle = input.handle
                    shared.state = .up
                    shared.opening = input.opening
                    shared.problem = nil
                    if hasBeenUp { shared.restarts += 1 }
                }
                if isStopping.load(ordering: .acquiring) { input.handle.requestStop() }
                send(hasBeenUp ? .recovered(opening: input.opening) : .up(opening: input.opening), clock: state.clock)
                hasBeenUp = true
                delay = configuration.firstRetryDelay
                defer { retire(input) }
                try listen(to: input, isDevice: isDevice, continuing: &state)
                if !isDevice || isStopping.load(ordering: .acquiring) {
                    setState(.ended)
                    send(.ended(problem: nil), clock: state.clock)
                    return
                }
                throw AudioCaptureError(.device, "\(configuration.input.source): the device has ended")
            } catch {
                let problem = String(describing: error)
                guard isDevice, !isStopping.load(ordering: .acquiring) else {
                    setState(.ended, problem: problem)
                    send(.ended(problem: problem), clock: state.clock)
                    return
                }
                if shared.withLock({ $0.problem != problem || $0.state != .down }) {
                    setState(.down, problem: problem)
                    send(.down(reason: problem), clock: state.clock)
                }
                wait(delay)
                delay = min(delay * 2, configuration.longestRetryDelay)
            }
        }
        setState(.ended)
    }

    /// Detects until the source ends; open events are ended however it leaves.
    private func listen(
        to input: AudioInput, isDevice: Bool, continuing progress: inout Continuation
    ) throws {
        var detector = try StreamDetector(
            model, labels: progress.labels, settings: progress.detection, nextEvent: progress.nextEvent,
            clockStart: progress.clock)
        defer {
            let clock = detector.clock
            detector.finish { self.send($0, clock: clock) }
            progress.nextEvent = detector.nextEvent
            progress.clock = clock
        }
        let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: model.stepLength / 4)
        defer { buffer.deallocate() }
        var idleSince: ContinuousClock.Instant?
        while true {
            turns.wrappingAdd(1, ordering: .relaxed)
            if hasPending.exchange(false, ordering: .acquiring) {
                if let pending = shared.withLock({ $0.pending.take() }) {
                    progress.labels = pending.labels
                    progress.detection = pending.detection
                    let clock = detector.clock
                    try detector.replace(labels: pending.labels, settings: pending.detection) {
                        self.send($0, clock: clock)
                    }
                }
            }
            detector.reportsTop = wantsTop()
            switch try input.next(into: buffer, timeout: .milliseconds(500)) {
            case .samples(let count):
                idleSince = nil
                let backlog = input.handle.statistics.backlogSeconds
                let clock = detector.clock + Int64(count)
                detector.process(UnsafeBufferPointer(rebasing: buffer[..<count])) { content in
                    self.send(content, clock: clock, backlog: backlog)
                }
                processedSamples.wrappingAdd(count, ordering: .relaxed)
                levelBits.store(detector.levelDecibels.bitPattern, ordering: .relaxed)
            case .gap(let lost, let reason):
                let from = detector.clock
                detector.skip(lost) { self.send($0, clock: from) }
                gapCount.wrappingAdd(1, ordering: .relaxed)
                lostSamples.wrappingAdd(lost, ordering: .relaxed)
                send(.gap(fromSample: from, lostSamples: lost, reason: reason.rawValue), clock: detector.clock)
            case .idle:
                let now = ContinuousClock.now
                if let since = idleSince {
                    if isDevice, now - since > configuration.stallLimit {
                        throw AudioCaptureError(
                            .device, "\(configuration.input.source): no audio for \(configuration.stallLimit)")
                    }
                } else {
                    idleSince = now
                }
            case .ended:
                return
            }
        }
    }

    private func retire(_ input: AudioInput) {
        input.handle.stop()
        let statistics = input.handle.statistics
        shared.withLock { shared in
            shared.handle = nil
            shared.pastOverruns += statistics.overrunCount
            shared.pastDropped += statistics.framesDropped
        }
    }

    private func setState(_ state: State, problem: String? = nil) {
        shared.withLock { shared in
            shared.state = state
            shared.problem = problem
        }
    }

    /// - Parameters:
    ///   - clock: The sample clock of the newest sample worked on.
    ///   - backlog: Seconds of audio captured after it.
    private func send(_ content: SourceReport.Content, clock: Int64, backlog: Double = 0) {
        if case .event(let event) = content, event.kind == .onset { eventCount.wrappingAdd(1, ordering: .relaxed) }
        let age = Double(clock) / Double(model.sampleRate) + backlog
        // Kept while the estimate only jitters, so that all lines of an event name the same onset; it moves with the
        // drift of the device's clock, a reopened device and steps of UTC.
        let estimate = Date().addingTimeInterval(-age).timeIntervalSinceReferenceDate
        var zero = Double(bitPattern: clockZeroBits.load(ordering: .relaxed))
        if abs(estimate - zero) > 0.1 {
            zero = estimate
            clockZeroBits.store(zero.bitPattern, ordering: .relaxed)
        }
        report(
            SourceReport(
                source: configuration.name, content: content, clockZero: Date(timeIntervalSinceReferenceDate: zero),
                sampleRate: model.sampleRate))
    }

    /// Sleeps in short turns, so that stopping and the watchdog see a live loop.
    private func wait(_ delay: Duration) {
        let end = ContinuousClock.now + delay
        while ContinuousClock.now < end, !isStopping.load(ordering: .acquiring) {
            turns.wrappingAdd(1, ordering: .relaxed)
            usleep(50_000)
        }
    }
}
