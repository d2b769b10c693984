package import AudioCapture
import Synchronization

/// Listens to one source for as long as it lives: opens it, detects on a thread of its own, opens it again when it fails.
///
/// Two threads belong to a source: the capture thread inside `AudioInput`, and the inference thread here. They meet only
/// in the lock-free sample ring. A third one opens the source, so that a device that hangs holds neither. New settings
/// for the next step are handed over under a lock that the inference thread takes only when an atomic says that there are
/// some.
package final class SourceListener: Sendable {
    /// What stays for as long as the source does; another one is another listener.
    package struct Configuration: Sendable, Equatable {
        package var name: String
        package var input: AudioInput.Configuration
        /// Wait before a failed device is opened again; doubles up to `longestRetryDelay`.
        package var firstRetryDelay = Duration.milliseconds(500)
        package var longestRetryDelay = Duration.seconds(30)
        /// A device that delivers nothing for so long counts as failed, and so does one that takes longer to open.
        package var stallLimit = Duration.seconds(5)

        package init(name: String, input: AudioInput.Configuration) {
            self.name = name
            self.input = input
        }
    }

    /// What can change while the source is heard.
    package struct Settings: Sendable {
        package var labels: CompiledLabels
        package var detection: DetectionSettings
        /// Seconds of digital silence or a constant after which the source counts as silent, > 0.
        package var silentAfter = 60.0
        /// Whether windows are passed over rather than audio lost while inference is slower than real time.
        package var widensUnderLoad = false

        package init(labels: CompiledLabels, detection: DetectionSettings) {
            self.labels = labels
            self.detection = detection
        }
    }

    package enum State: String, Sendable, CaseIterable {
        /// No audio has come yet.
        case starting
        case up
        /// Audio comes, but nothing except digital silence or a constant.
        case silent
        case down, ended
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
        /// Every so many windows one is matched; 1 unless inference is slower than real time.
        package var windowStride: Int
        /// Windows that were passed over.
        package var skippedWindows: Int
        package var events: Int
        package var restarts: Int
        package var levelDecibels: Float
        /// Time on the inference thread per step.
        package var stepTimes: StepTimes.Snapshot
    }

    package let configuration: Configuration
    private let model: DetectionModel
    private let initialSettings: Settings
    private let wantsTop: @Sendable () -> Bool
    private let report: @Sendable (SourceReport) -> Void
    private let state = SourceState()
    private let thread = Mutex<WorkerThread?>(nil)

    /// - Parameters:
    ///   - wantsTop: Whether each step's ranking is to be reported now; asked on the inference thread, must not block.
    ///   - report: Called on the inference thread, in order; must not block.
    package init(
        _ configuration: Configuration, model: DetectionModel, settings: Settings,
        wantsTop: @escaping @Sendable () -> Bool = { false }, report: @escaping @Sendable (SourceReport) -> Void
    ) {
        self.configuration = configuration
        self.model = model
        initialSettings = settings
        self.wantsTop = wantsTop
        self.report = report
    }

    /// Starts the inference thread, which has the source opened.
    /// - Throws: `AudioCaptureError` if there can be no thread.
    package func start() throws {
        let started = try WorkerThread(name: "infer-\(configuration.name)") { [self] in
            var loop = ListeningLoop(
                configuration, model: model, settings: initialSettings, state: state, wantsTop: wantsTop,
                report: report)
            loop.run()
        }
        thread.withLock { $0 = started }
    }

    /// Tells both threads to end, without waiting.
    package func requestStop() {
        state.isStopping.store(true, ordering: .releasing)
        state.guarded.withLock { $0.handle }?.requestStop()
    }

    /// Ends both threads; open events are ended first.
    ///
    /// - Returns: false where a thread is stuck and was left behind.
    @discardableResult
    package func stop(timeout: Duration = .seconds(3)) -> Bool {
        requestStop()
        return thread.withLock { $0 }?.join(timeout: timeout) ?? true
    }

    /// Replaces what is listened for and how, from the next step on; no audio is lost.
    package func replace(_ settings: Settings) {
        state.guarded.withLock { $0.pending = settings }
        state.hasPending.store(true, ordering: .releasing)
    }

    /// The progress of each stage that has work to do, for the watchdog.
    package var stages: [StageProgress] { state.stages }

    package var hasEnded: Bool { state.guarded.withLock { $0.state == .ended } }

    package var snapshot: Snapshot { state.snapshot(sampleRate: Double(model.sampleRate)) }
}
