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
import MQTTPublisher
import MetricsServer
import Synchronization
import TensorKernels

/// The running daemon: sources, the server, and what signals do to them.
final class Daemon: Sendable {
    /// What a reload changes.
    struct Settings: Sendable {
        var configuration: DaemonConfiguration
        var labels: LabelSets
        /// Set through the control socket since the last reload.
        var thresholds: [String: Double] = [:]
        var reloads = 0
        var lastReloadProblem: String?
    }

    private let model: DetectionModel
    private let publisher: EventPublisher
    private let tally = ReportTally()
    let mutes = Mutes()
    /// Nil where there is no control socket.
    private let control: ControlServer?
    /// Nil where no metrics are wanted.
    private let metrics: MetricsServer?
    private let started = Timestamp.now()
    /// The same on a clock that never steps.
    private let startInstant = ContinuousClock.now
    private let sources: SourceSet
    private let settings: Mutex<Settings>
    private let shared: Shared
    private let logger: Logger
    private let notifier: ServiceNotifier
    private let events = ControlEvents()
    private let readConfiguration: @Sendable () throws -> DaemonConfiguration
    private let standardInputRate: Int
    private let endsWithSources: Bool
    /// One change after another to what is listened for; each blocks.
    private let reloads = DispatchQueue(label: "reload")

    /// What the server's providers read; filled when all parts exist.
    private final class Shared: Sendable {
        let daemon = Mutex<Daemon?>(nil)
    }

    /// Loads the model and embeds the labels; neither the socket nor a source is open yet.
    ///
    /// - Parameters:
    ///   - standardInputRate: Of raw audio on standard input, in Hz.
    ///   - endsWithSources: Whether the daemon ends when all sources have.
    ///   - passed: Sockets of the service manager, served instead of the configured ones.
    ///   - readConfiguration: Reads the configuration, now and for each reload, with what the command line says instead.
    /// - Throws: What is wrong with configuration, model or labels.
    init(
        standardInputRate: Int, endsWithSources: Bool, passed: PassedSockets,
        readConfiguration: @escaping @Sendable () throws -> DaemonConfiguration
    ) throws {
        logger = Logger(label: "earshotd")
        notifier = ServiceNotifier()
        self.readConfiguration = readConfiguration
        self.standardInputRate = standardInputRate
        self.endsWithSources = endsWithSources
        useSingleBLASThread()
        let configuration = try readConfiguration()
        guard let path = configuration.modelDirectory ?? ResourceLocations.model else {
            throw ConfigurationProblem("no model found; set `model` in the configuration, or EARSHOT_MODEL")
        }
        let model = try DetectionModel(path: path)
        self.model = model
        let labels = try LabelSets(configuration, model: model)
        settings = Mutex(Settings(configuration: configuration, labels: labels))
        let shared = Shared()
        self.shared = shared
        let store = EventStore.Configuration(configuration.store)
        var socket = EventServer.Configuration(configuration.socket)
        socket.passedDescriptor = passed.events
        let publisher = try EventPublisher(
            store: store, socket: socket,
            providers: .init(
                hello: {
                    shared.daemon.withLock { $0 }?.hello
                        ?? HelloInformation(version: earshotVersion, model: "", labels: [], sources: [])
                },
                status: { shared.daemon.withLock { $0 }?.status ?? .object([]) },
                labels: { shared.daemon.withLock { $0 }?.labelSummaries ?? [] }),
            mqtt: configuration.mqtt.map { settings in
                (settings, PublishedDescription(configuration, labels: labels, model: model))
            }, logger: logger)
        self.publisher = publisher
        sources = SourceSet(model: model, wantsTop: { publisher.server.wantsTop }) {
            [logger, tally, mutes] report, prefix in
            guard mutes.admits(report) else { return }
            let message = report.message(eventPrefix: prefix)
            report.log(with: logger, message: message)
            tally.count(report)
            if let message { publisher.publish(message) }
        }
        control = ControlServer.Configuration(configuration, passed: passed.control).map { [logger] configuration in
            ControlServer(
                configuration, logger: logger,
                hello: {
                    shared.daemon.withLock { $0 }?.hello
                        ?? HelloInformation(version: earshotVersion, model: "", labels: [], sources: [])
                },
                perform: { request in
                    guard let daemon = shared.daemon.withLock({ $0 }) else {
                        throw ControlFailure("the daemon is about to end")
                    }
                    return try await daemon.perform(request)
                })
        }
        metrics = MetricsServer.Configuration(configuration, passed: passed.metrics).map { [logger] configuration in
            MetricsServer(configuration, logger: logger) {
                guard let daemon = shared.daemon.withLock({ $0 }) else { return [] }
                return await daemon.metricFamilies
            }
        }
        // Before the socket is there: what is wrong with a source ends the start, and the first client may ask for them.
        sources.prepare(try plans(settings.withLock { $0 }))
        logger.info(
            """
            earshotd \(earshotVersion), model \(model.configuration.name), \
            \(settings.withLock { $0.labels.entries.count }) labels, OpenBLAS \(blasCoreName())
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
            warn(settings.withLock { $0 })
            // Before the control socket, which may ask for other sources.
            try sources.start()
            try await control?.start()
            try await metrics?.start()
        } catch {
            await offPool { [sources] in sources.stop() }
            await control?.stop()
            await metrics?.stop()
            await publisher.stop()
            throw error
        }
        notifier.ready(status: listeningText)
        let watch = Task { [notifier, sources, logger, events] in
            var watchdog = Watchdog(limit: notifier.watchdogInterval, logger: logger)
            await watchdog.run(
                sources: sources, feed: { notifier.progress() }, allEnded: { events.send(.sourcesEnded) })
        }
        loop: for await event in events.stream {
            switch event {
            case .reload: _ = await reload()
            case .terminate: break loop
            case .sourcesEnded:
                // A reload may have brought new ones since.
                if endsWithSources, sources.all.allSatisfy(\.hasEnded) { break loop }
            }
        }
        notifier.stopping()
        watch.cancel()
        // Joining a thread blocks, which must not happen in the cooperative pool.
        await offPool { [sources] in sources.stop() }
        await control?.stop()
        await metrics?.stop()
        await publisher.stop()
        if endsWithSources {
            let problems = sources.all.compactMap(\.snapshot.problem)
            if !problems.isEmpty { throw SourcesFailed(description: problems.joined(separator: "; ")) }
        }
    }

    /// What each source is to be.
    private func plans(_ settings: Settings) throws -> [SourceSet.Plan] {
        try settings.configuration.sources.map { source in
            try SourceSet.Plan(
                source, configuration: settings.configuration, labels: settings.labels, model: model,
                standardInputRate: standardInputRate)
        }
    }

    /// Tells of what works, but hardly as it was meant.
    private func warn(_ settings: Settings) {
        for warning in settings.labels.warnings { logger.warning("\(warning)") }
        for source in settings.configuration.sources where source.device.hasPrefix("alsa:") {
            if let warning = DeviceIndex.warning(for: String(source.device.dropFirst(5))) {
                logger.warning("\(source.name): \(warning)")
            }
        }
    }

    private var listeningText: String {
        let count = sources.all.count
        return "listening to \(count) source\(count == 1 ? "" : "s")"
    }

    // MARK: Reload

    /// Reads configuration and label files again and takes over what can change: labels, detection, sources. Sources that
    /// are not changed lose no audio. What is wrong is logged, and everything stays as it was.
    ///
    /// - Returns: What was done, one line, or what was wrong.
    func reload() async -> Result<String, any Error> {
        notifier.reloading()
        let result: Result<String, any Error> = await withCheckedContinuation { continuation in
            reloads.async { [self] in continuation.resume(returning: Result { try takeOver() }) }
        }
        switch result {
        case .success(let summary):
            logger.info("reloaded: \(summary)")
        case .failure(let error):
            settings.withLock { $0.lastReloadProblem = String(describing: error) }
            logger.error("reload failed, everything stays as it was: \(error)")
        }
        notifier.ready(status: listeningText)
        return result
    }

    private func takeOver() throws -> String {
        var next = settings.withLock { $0 }
        let read = try readConfiguration()
        for setting in next.configuration.restartSettings(changedIn: read) {
            logger.warning("\(setting): a change takes a restart; the reload leaves it as it was")
        }
        next.configuration = read.keepingRestartSettings(of: next.configuration)
        next.labels = try LabelSets(next.configuration, model: model)
        let plans = try plans(next)
        warn(next)
        let changes = try sources.apply(plans)
        settings.withLock {
            $0.configuration = next.configuration
            $0.labels = next.labels
            $0.thresholds = [:]
            $0.reloads += 1
            $0.lastReloadProblem = nil
        }
        publisher.mqtt?.replace(PublishedDescription(next.configuration, labels: next.labels, model: model))
        return "\(next.labels.entries.count) labels\(changes.text)"
    }

    /// Changes the settings and what the sources listen for, between reloads; all or nothing.
    func change(_ body: @escaping @Sendable (inout Settings) throws -> Void) async throws {
        let result: Result<Void, any Error> = await withCheckedContinuation { continuation in
            reloads.async { [self] in
                continuation.resume(
                    returning: Result {
                        var next = settings.withLock { $0 }
                        try body(&next)
                        try sources.apply(try plans(next))
                        settings.withLock { [next] in $0 = next }
                    })
            }
        }
        try result.get()
    }

    // MARK: What the server asks

    private var hello: HelloInformation {
        settings.withLock { settings in
            HelloInformation(
                version: earshotVersion, model: model.configuration.name, labels: settings.labels.entries.map(\.name),
                sources: settings.configuration.sources.map(\.name))
        }
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
        let (labels, thresholds, reloads, problem) = settings.withLock {
            ($0.labels.entries.count, $0.thresholds, $0.reloads, $0.lastReloadProblem)
        }
        let uptime = ContinuousClock.now - startInstant
        return [
            "version": .string(earshotVersion), "pid": .integer(ProcessInfo.processInfo.processIdentifier),
            "started": .string(started.description), "time": .string(Timestamp.now().description),
            "uptime_seconds": .decimal(uptime / .seconds(1), places: 3), "model": .string(model.configuration.name),
            "labels": .integer(labels), "reloads": .integer(reloads),
            "reload_problem": problem.map { .string($0) } ?? .null,
            "muted": mutes.status(),
            "thresholds": .object(
                thresholds.sorted { $0.key < $1.key }.map { JSONValue.Member($0.key, .decimal($0.value)) }),
            "sources": .array(sources.all.map { $0.status(tally[$0.configuration.name]) }),
            "store": publisher.storeStatus,
            "mqtt": publisher.mqtt?.statusValue ?? .null,
        ]
    }

    /// The daemon's state with the server's.
    var fullStatus: JSONValue {
        get async { await publisher.server.status() ?? status }
    }

    private var metricFamilies: [MetricFamily] {
        get async {
            earshotd.metricFamilies(
                status: await fullStatus, snapshots: sources.all.map { ($0.configuration.name, $0.snapshot) },
                tally: tally)
        }
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
