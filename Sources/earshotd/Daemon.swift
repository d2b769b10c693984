import AudioCapture
import AudioEmbedding
import DaemonConfiguration
import DetectionPipeline
import Dispatch
import EventMessages
import EventServer
import EventStore
import Foundation
import Labels
import Logging
import Synchronization
import TensorKernels

/// The running daemon: sources, the server, and what signals do to them.
final class Daemon: Sendable {
    /// What a reload changes.
    private struct Settings: Sendable {
        var configuration: DaemonConfiguration
        var labels: LabelSets
        var reloads = 0
        var lastReloadProblem: String?
    }

    private let model: DetectionModel
    private let publisher: EventPublisher
    private let listeners: [SourceListener]
    private let settings: Mutex<Settings>
    private let shared: Shared
    private let logger: Logger
    private let notifier: ServiceNotifier
    private let events = ControlEvents()
    private let configurationPath: String?
    private let overridesLabels: Bool
    private let endsWithSources: Bool

    /// What the server's providers read; filled when all parts exist.
    private final class Shared: Sendable {
        let daemon = Mutex<Daemon?>(nil)
    }

    /// Loads the model and embeds the labels; neither the socket nor a source is open yet.
    ///
    /// - Parameters:
    ///   - configurationPath: Read again on a reload; nil where there is none.
    ///   - overridesLabels: Whether the command line gave the labels, so that a reload keeps to those files.
    init(
        configuration: DaemonConfiguration, configurationPath: String?, standardInputRate: Int, endsWithSources: Bool,
        overridesLabels: Bool
    ) throws {
        logger = Logger(label: "earshotd")
        notifier = ServiceNotifier()
        self.configurationPath = configurationPath
        self.endsWithSources = endsWithSources
        self.overridesLabels = overridesLabels
        useSingleBLASThread()
        guard let path = configuration.modelDirectory ?? ResourceLocations.model else {
            throw ConfigurationProblem("no model found; set `model` in the configuration, or EARSHOT_MODEL")
        }
        let model = try DetectionModel(path: path)
        self.model = model
        let labels = try LabelSets(configuration, model: model)
        let detection = try DetectionSettings(model).overridden(by: configuration.detection)
        settings = Mutex(Settings(configuration: configuration, labels: labels))
        let shared = Shared()
        self.shared = shared
        let store = EventStore.Configuration(configuration.store)
        let publisher = try EventPublisher(
            store: store, socket: EventServer.Configuration(configuration.socket),
            providers: .init(
                hello: {
                    shared.daemon.withLock { $0 }?.hello
                        ?? HelloInformation(version: earshotVersion, model: "", labels: [], sources: [])
                },
                status: { shared.daemon.withLock { $0 }?.status ?? .object([]) },
                labels: { shared.daemon.withLock { $0 }?.labelSummaries ?? [] }),
            logger: logger)
        self.publisher = publisher
        listeners = try configuration.sources.map { [logger] source in
            SourceListener(
                try .init(
                    source, configuration: configuration, detection: detection, model: model,
                    standardInputRate: standardInputRate),
                model: model, labels: labels[source.name], wantsTop: { publisher.server.wantsTop }
            ) { report in
                report.log(with: logger)
                publisher.publish(report)
            }
        }
        logger.info(
            """
            earshotd \(earshotVersion), model \(model.configuration.name), \(labels.entries.count) labels, \
            OpenBLAS \(blasCoreName())
            """)
        if store == nil { logger.info("events are not stored") }
    }

    /// Opens the socket and listens until a signal ends it, or all sources have ended where it was told to end with them.
    ///
    /// - Throws: ``SourcesFailed`` where it ended with its sources and one of them could not be heard to its end.
    func run() async throws {
        // Before the socket is there: the first client's hello needs the labels.
        shared.daemon.withLock { $0 = self }
        defer { shared.daemon.withLock { $0 = nil } }
        try await publisher.start()
        do {
            for listener in listeners { try listener.start() }
        } catch {
            await publisher.stop()
            throw error
        }
        notifier.ready(status: "listening to \(listeners.count) source\(listeners.count == 1 ? "" : "s")")
        let watch = Task { await watchProgress() }
        loop: for await event in events.stream {
            switch event {
            case .reload: await reload()
            case .terminate: break loop
            case .sourcesEnded where endsWithSources: break loop
            case .sourcesEnded: continue
            }
        }
        notifier.stopping()
        watch.cancel()
        // Joining a thread blocks, which must not happen in the cooperative pool.
        await offPool { [listeners] in
            for listener in listeners { listener.stop() }
        }
        await publisher.stop()
        if endsWithSources {
            let problems = listeners.compactMap(\.snapshot.problem)
            if !problems.isEmpty { throw SourcesFailed(description: problems.joined(separator: "; ")) }
        }
    }

    // MARK: Reload

    /// Reads labels and thresholds again; what is wrong is logged, and everything stays as it was.
    private func reload() async {
        notifier.reloading()
        defer { notifier.ready(status: "listening") }
        let result: Result<(DaemonConfiguration, LabelSets, DetectionSettings), any Error> = await offPool { [self] in
            Result {
                var next = settings.withLock { $0.configuration }
                if let configurationPath {
                    let read = try DaemonConfiguration(path: configurationPath)
                    if !overridesLabels { next.labels = read.labels }
                    next.detection = read.detection
                    for index in next.sources.indices {
                        let name = next.sources[index].name
                        if let source = read.sources.first(where: { $0.name == name }) {
                            next.sources[index].labels = source.labels
                        }
                    }
                    if read.sources.map(\.name) != next.sources.map(\.name) {
                        logger.warning("sources and the socket change with a restart only")
                    }
                }
                let labels = try LabelSets(next, model: model)
                return (next, labels, try DetectionSettings(model).overridden(by: next.detection))
            }
        }
        switch result {
        case .success(let (configuration, labels, detection)):
            for listener in listeners {
                listener.replace(labels: labels[listener.configuration.name], detection: detection)
            }
            settings.withLock {
                $0.configuration = configuration
                $0.labels = labels
                $0.reloads += 1
                $0.lastReloadProblem = nil
            }
            logger.info("reloaded: \(labels.entries.count) labels")
        case .failure(let error):
            settings.withLock { $0.lastReloadProblem = String(describing: error) }
            logger.error("reload failed, everything stays as it was: \(error)")
        }
    }

    // MARK: Progress

    /// Feeds systemd's watchdog while every source's inference loop moves, and notices when all sources have ended.
    private func watchProgress() async {
        let interval = notifier.watchdogInterval.map { min($0 / 3, .seconds(1)) } ?? .seconds(1)
        var last = [Int](repeating: -1, count: listeners.count)
        var stuckSince = [ContinuousClock.Instant?](repeating: nil, count: listeners.count)
        while !Task.isCancelled {
            var allMove = true
            for (index, listener) in listeners.enumerated() {
                let progress = listener.progress
                if progress != last[index] || listener.hasEnded {
                    last[index] = progress
                    stuckSince[index] = nil
                } else {
                    let since = stuckSince[index] ?? .now
                    stuckSince[index] = since
                    if .now - since > .seconds(3) {
                        allMove = false
                        logger.error("source \(listener.configuration.name): inference makes no progress")
                    }
                }
            }
            if allMove { notifier.progress() }
            if listeners.allSatisfy(\.hasEnded) { events.send(.sourcesEnded) }
            try? await Task.sleep(for: interval)
        }
    }

    // MARK: What the server asks

    private var hello: HelloInformation {
        HelloInformation(
            version: earshotVersion, model: model.configuration.name,
            labels: settings.withLock { $0.labels.entries.map(\.name) },
            sources: listeners.map(\.configuration.name))
    }

    private var labelSummaries: [LabelSummary] {
        settings.withLock { settings in
            settings.labels.entries.map { entry in
                LabelSummary(
                    label: entry.name, prompts: entry.prompts, group: entry.group,
                    threshold: entry.threshold.map(Double.init), cooldown: entry.cooldown,
                    minimumLength: entry.minimumLength)
            }
        }
    }

    private var status: JSONValue {
        let (labels, reloads, problem) = settings.withLock {
            ($0.labels.entries.count, $0.reloads, $0.lastReloadProblem)
        }
        return [
            "version": .string(earshotVersion), "model": .string(model.configuration.name),
            "labels": .integer(labels), "reloads": .integer(reloads),
            "reload_problem": problem.map { .string($0) } ?? .null,
            "sources": .array(listeners.map(\.status)), "store": publisher.storeStatus,
        ]
    }
}

/// Sources that could not be heard to their end.
struct SourcesFailed: Error, CustomStringConvertible {
    let description: String
}

/// A configuration that cannot work, found after it was read.
struct ConfigurationProblem: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Runs work that blocks on a thread of Dispatch's instead of one of the cooperative pool.
func offPool<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
        DispatchQueue.global().async { continuation.resume(returning: work()) }
    }
}
