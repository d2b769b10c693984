import AudioCapture
import DaemonConfiguration
import DetectionPipeline
import EventMessages
import EventServer
import EventStore
import MetricsServer

extension EventServer.Configuration {
    init(_ socket: SocketConfiguration) {
        self.init(socketPath: socket.path)
        mode = socket.mode
        group = socket.group
        clientQueueLimit = socket.clientQueueLimit
        stallTimeout = socket.stallTimeout
        maximumClients = DescriptorLimit.clients(wanted: socket.maximumClients)
    }
}

extension EventStore.Configuration {
    /// Nil where nothing is to be stored, or no place for it is known.
    init?(_ store: StoreConfiguration) {
        guard store.isOn, let path = store.path ?? EventStore.Configuration.servicePath else {
            return nil
        }
        self.init(path: path, maximumAge: store.maximumAge, maximumSize: store.maximumSize)
    }
}

extension ControlServer.Configuration {
    /// Nil where there is to be no control socket.
    ///
    /// - Parameter passed: A socket of the service manager, served instead of the configured one.
    init?(_ configuration: DaemonConfiguration, passed: CInt?) {
        guard passed != nil || configuration.controlSocketPath != nil else { return nil }
        self.init(socketPath: configuration.controlSocketPath ?? "")
        passedDescriptor = passed
    }
}

extension MetricsServer.Configuration {
    /// Nil where no metrics are wanted.
    ///
    /// - Parameter passed: A socket of the service manager, served instead of the configured address.
    init?(_ configuration: DaemonConfiguration, passed: CInt?) {
        if let passed {
            self.init(address: .descriptor(passed))
            return
        }
        switch configuration.metrics.address {
        case .tcp(let host, let port): self.init(address: .tcp(host: host, port: port))
        case .unix(let path):
            let socket = configuration.socket
            self.init(address: .unix(path: path, mode: socket.mode, group: socket.group))
        case nil: return nil
        }
    }
}

extension DetectionSettings {
    /// The model's calibration with what the configuration sets instead.
    func overridden(by configuration: DetectionConfiguration) -> DetectionSettings {
        var settings = self
        if let on = configuration.onThreshold { settings.setThreshold(Float(on)) }
        if let off = configuration.offThreshold { settings.offThreshold = min(Float(off), settings.onThreshold) }
        if let median = configuration.medianFilterLength { settings.medianFilterLength = median }
        if let length = configuration.minimumEventLength { settings.minimumEventLength = length }
        if let gap = configuration.minimumEventGap { settings.minimumEventGap = gap }
        if let cooldown = configuration.cooldown { settings.cooldown = cooldown }
        if let interval = configuration.updateInterval { settings.updateInterval = interval }
        if let level = configuration.silenceLevel { settings.silenceLevel = Float(level) }
        return settings
    }
}

extension SourceSet.Plan {
    /// - Throws: What is wrong with the source's name for its audio, or the model's constants.
    init(
        _ source: SourceConfiguration, configuration: DaemonConfiguration, labels: LabelSets, model: DetectionModel,
        standardInputRate: Int
    ) throws {
        var input = AudioInput.Configuration(
            source: try SourceSpecification(source.device), modelSampleRate: model.sampleRate,
            pacing: source.isRealtime ? .realtime : .fullSpeed, standardInputRate: standardInputRate,
            ringDuration: .seconds(configuration.ringLength))
        if case .number(let number) = source.channel { input.channel = .index(number) }
        input.isLooping = source.isLooping
        self.configuration = SourceListener.Configuration(name: source.name, input: input)
        let detection = source.detection.overriding(configuration.detection)
        settings = SourceListener.Settings(
            labels: labels[source.name], detection: try DetectionSettings(model).overridden(by: detection))
        settings.detection.labelWeights = labels.weights[source.name]
        if let seconds = detection.silentAfter { settings.silentAfter = seconds }
        settings.widensUnderLoad = configuration.overload == .widen
    }
}

extension DaemonConfiguration {
    /// The settings that only a restart changes and that differ in another configuration, by their names in the file.
    func restartSettings(changedIn other: DaemonConfiguration) -> [String] {
        [
            ("model", modelDirectory == other.modelDirectory), ("socket", socket == other.socket),
            ("store", store == other.store), ("mqtt", mqtt == other.mqtt),
            ("control", controlSocketPath == other.controlSocketPath), ("metrics", metrics == other.metrics),
            ("log_level", logLevel == other.logLevel),
        ]
        .filter { !$0.1 }.map(\.0)
    }

    /// This configuration with the settings of another that only a restart changes.
    func keepingRestartSettings(of other: DaemonConfiguration) -> DaemonConfiguration {
        var kept = self
        kept.modelDirectory = other.modelDirectory
        kept.socket = other.socket
        kept.store = other.store
        kept.mqtt = other.mqtt
        kept.controlSocketPath = other.controlSocketPath
        kept.metrics = other.metrics
        kept.logLevel = other.logLevel
        return kept
    }
}

extension SourceListener {
    /// This source in the reply to `status`.
    func status(_ tally: ReportTally.Source) -> JSONValue {
        let now = snapshot
        return [
            "name": .string(configuration.name), "device": .string(configuration.input.source.description),
            "state": .string(now.state.rawValue), "opening": .string(now.opening),
            "problem": now.problem.map { .string($0) } ?? .null,
            "audio_seconds": .decimal(now.audioSeconds, places: 3), "events": .integer(now.events),
            "gaps": .integer(now.gaps), "lost_seconds": .decimal(now.lostSeconds, places: 3),
            "overruns": .integer(now.overruns), "dropped_frames": .integer(now.droppedFrames),
            "backlog_seconds": .decimal(now.backlogSeconds, places: 3), "restarts": .integer(now.restarts),
            "window_stride": .integer(now.windowStride), "skipped_windows": .integer(now.skippedWindows),
            "level_dbfs": now.levelDecibels.isFinite ? .decimal(Double(now.levelDecibels), places: 1) : .null,
            "last_gap": tally.lastGap.map { .string($0.description) } ?? .null,
            "steps": .integer(now.stepTimes.count), "step_seconds_mean": .decimal(now.stepTimes.mean),
            "step_seconds_p99": now.stepTimes.bound(ofShare: 0.99).map { .number($0) } ?? .null,
            "events_by_label": .object(
                tally.onsets.sorted { $0.key < $1.key }.map { JSONValue.Member($0.key, .integer($0.value)) }),
        ]
    }
}
