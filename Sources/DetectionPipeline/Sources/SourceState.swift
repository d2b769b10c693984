import AudioCapture
import Synchronization

/// What a source's threads and those who ask about it share.
final class SourceState: Sendable {
    struct Guarded {
        var state = SourceListener.State.starting
        var opening = ""
        var problem: String?
        /// Of the open input.
        var handle: CaptureHandle?
        /// Of an input that failed and whose capture thread does not end.
        var abandoned: CaptureHandle?
        /// Whether that thread stood still before it was told to end, and not only then.
        var abandonedWhileStuck = false
        var restarts = 0
        /// Overruns and dropped frames of inputs that are closed already.
        var pastOverruns = 0
        var pastDropped = 0
        var pending: SourceListener.Settings?
    }

    let guarded = Mutex(Guarded())
    let hasPending = Atomic(false)
    let isStopping = Atomic(false)
    let turns = Atomic(0)
    let processedSamples = Atomic(0)
    let gapCount = Atomic(0)
    let lostSamples = Atomic(0)
    let eventCount = Atomic(0)
    let windowStride = Atomic(1)
    let skippedWindows = Atomic(0)
    let stepTimes = StepTimes()
    let levelBits = Atomic(Float(-200).bitPattern)

    /// The inference thread is alive.
    func turn() { turns.wrappingAdd(1, ordering: .relaxed) }

    var mustStop: Bool { isStopping.load(ordering: .acquiring) }

    func set(_ state: SourceListener.State, problem: String? = nil) {
        guarded.withLock { guarded in
            guarded.state = state
            guarded.problem = problem
        }
    }

    /// An input was closed; what it counted stays in the sums.
    ///
    /// - Parameters:
    ///   - hasEnded: Whether its capture thread has.
    ///   - stoodStill: Whether that stood still before it was told to end.
    func retire(_ handle: CaptureHandle, hasEnded: Bool, stoodStill: Bool) {
        let statistics = handle.statistics
        guarded.withLock { guarded in
            guarded.handle = nil
            guarded.abandoned = hasEnded ? nil : handle
            guarded.abandonedWhileStuck = stoodStill
            guarded.pastOverruns += statistics.overrunCount
            guarded.pastDropped += statistics.framesDropped
        }
    }

    func snapshot(sampleRate: Double) -> SourceListener.Snapshot {
        guarded.withLock { guarded in
            let capture = guarded.handle?.statistics
            return SourceListener.Snapshot(
                state: guarded.state, opening: guarded.opening, problem: guarded.problem,
                audioSeconds: Double(processedSamples.load(ordering: .relaxed)) / sampleRate,
                gaps: gapCount.load(ordering: .relaxed),
                lostSeconds: Double(lostSamples.load(ordering: .relaxed)) / sampleRate,
                overruns: guarded.pastOverruns + (capture?.overrunCount ?? 0),
                droppedFrames: guarded.pastDropped + (capture?.framesDropped ?? 0),
                backlogSeconds: capture?.backlogSeconds ?? 0,
                windowStride: windowStride.load(ordering: .relaxed),
                skippedWindows: skippedWindows.load(ordering: .relaxed),
                events: eventCount.load(ordering: .relaxed), restarts: guarded.restarts,
                levelDecibels: Float(bitPattern: levelBits.load(ordering: .relaxed)),
                stepTimes: stepTimes.snapshot)
        }
    }

    /// The progress of each stage that has work to do.
    ///
    /// Capture counts only once it has given audio, and as long as it is not given up for giving none: such a device is
    /// down, even if its library then hangs, and starting the daemon again would disturb the other sources in vain.
    var stages: [StageProgress] {
        guarded.withLock { guarded in
            guard guarded.state != .ended else { return [] }
            var stages = [StageProgress(stage: .inference, turns: turns.load(ordering: .relaxed))]
            let abandoned = guarded.abandonedWhileStuck ? guarded.abandoned : nil
            if let handle = guarded.handle ?? abandoned, !handle.hasFinished, handle.statistics.framesCaptured > 0 {
                stages.append(StageProgress(stage: .capture, turns: handle.progress))
            }
            return stages
        }
    }
}

/// How far a stage of a source has come: `turns` moves at least every two seconds, and stands still while the stage is
/// stuck.
package struct StageProgress: Sendable, Equatable {
    package enum Stage: String, Sendable { case capture, inference }

    package var stage: Stage
    package var turns: Int
}
