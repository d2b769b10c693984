import AudioCapture
import DaemonConfiguration
import DetectionPipeline
import Foundation
import Logging
import Synchronization

/// The sources that are listened to.
final class SourceSet: Sendable {
    /// What one source is to be.
    struct Plan: Sendable {
        var configuration: SourceListener.Configuration
        var settings: SourceListener.Settings
    }

    /// What ``apply(_:)`` did, by the names of sources.
    struct Changes: Sendable, Equatable {
        var added: [String] = []
        var removed: [String] = []
        /// Their device or channel has changed.
        var reopened: [String] = []
    }

    private let model: DetectionModel
    private let wantsTop: @Sendable () -> Bool
    private let report: @Sendable (_ report: SourceReport, _ eventPrefix: String) -> Void
    private let listeners = Mutex<[SourceListener]>([])
    private let lastPrefix = Mutex<UInt64>(0)

    /// - Parameters:
    ///   - wantsTop: Whether rankings are wanted now; asked on inference threads.
    ///   - report: What a source has to say, in its order, on its inference thread. The prefix makes the numbers of its
    ///     events unique over restarts of the source and of the daemon.
    init(
        model: DetectionModel, wantsTop: @escaping @Sendable () -> Bool,
        report: @escaping @Sendable (_ report: SourceReport, _ eventPrefix: String) -> Void
    ) {
        self.model = model
        self.wantsTop = wantsTop
        self.report = report
    }

    /// In the order of the configuration.
    var all: [SourceListener] { listeners.withLock { $0 } }

    /// Makes the first sources; clients can ask for them at once, they are heard from ``start()`` on.
    func prepare(_ plans: [Plan]) {
        precondition(all.isEmpty, "the first sources are there already")
        listeners.withLock { $0 = plans.map(makeListener) }
    }

    /// Starts what ``prepare(_:)`` has made.
    ///
    /// - Throws: `AudioCaptureError` where a thread cannot be started.
    func start() throws {
        for listener in all { try listener.start() }
    }

    /// Starts, stops and changes sources until they are as planned. A source whose configuration stays keeps its threads
    /// and loses no audio. Blocks while threads end.
    ///
    /// - Throws: `AudioCaptureError` where a thread cannot be started; the sources before it are as planned.
    @discardableResult func apply(_ plans: [Plan]) throws -> Changes {
        let old = Dictionary(uniqueKeysWithValues: all.map { ($0.configuration.name, $0) })
        var changes = Changes()
        var kept: Set<String> = []
        for plan in plans where old[plan.configuration.name]?.configuration == plan.configuration {
            kept.insert(plan.configuration.name)
        }
        // Those that go first: another source may want their device.
        for listener in all where !kept.contains(listener.configuration.name) {
            listener.stop()
            let name = listener.configuration.name
            if !plans.contains(where: { $0.configuration.name == name }) { changes.removed.append(name) }
        }
        var next: [SourceListener] = []
        defer { listeners.withLock { $0 = next } }
        for plan in plans {
            let name = plan.configuration.name
            if let listener = old[name], kept.contains(name) {
                listener.replace(plan.settings)
                next.append(listener)
            } else {
                let listener = makeListener(plan)
                try listener.start()
                next.append(listener)
                if old[name] == nil { changes.added.append(name) } else { changes.reopened.append(name) }
            }
        }
        return changes
    }

    /// Ends all sources; blocks while their threads end.
    func stop() {
        for listener in all { listener.requestStop() }
        for listener in all { listener.stop() }
    }

    private func makeListener(_ plan: Plan) -> SourceListener {
        let prefix = String(nextPrefix(), radix: 36)
        return SourceListener(
            plan.configuration, model: model, settings: plan.settings, wantsTop: wantsTop
        ) { [report] in report($0, prefix) }
    }

    private func nextPrefix() -> UInt64 {
        lastPrefix.withLock { last in
            last = max(last + 1, UInt64(max(0, Date().timeIntervalSince1970) * 1000))
            return last
        }
    }
}

extension SourceSet.Changes {
    /// The changes for people, beginning with a comma; empty without any.
    var text: String {
        [("added", added), ("removed", removed), ("opened anew", reopened)]
            .filter { !$0.1.isEmpty }
            .map { ", \($0.0) \($0.1.joined(separator: " "))" }
            .joined()
    }
}
