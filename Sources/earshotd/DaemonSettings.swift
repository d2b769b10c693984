import AudioCapture
import DaemonConfiguration
import DetectionPipeline
import EventMessages
import EventServer
import EventStore
import Logging

extension EventServer.Configuration {
    init(_ socket: SocketConfiguration) {
        self.init(socketPath: socket.path)
        mode = socket.mode
        group = socket.group
        clientQueueLimit = socket.clientQueueLimit
        stallTimeout = socket.stallTimeout
        maximumClients = socket.maximumClients
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

extension SourceListener.Configuration {
    init(
        _ source: SourceConfiguration, configuration: DaemonConfiguration, detection: DetectionSettings,
        model: DetectionModel, standardInputRate: Int
    ) throws {
        var input = AudioInput.Configuration(
            source: try SourceSpecification(source.device), modelSampleRate: model.sampleRate,
            pacing: source.isRealtime ? .realtime : .fullSpeed, standardInputRate: standardInputRate,
            ringDuration: .seconds(configuration.ringLength))
        if case .number(let number) = source.channel { input.channel = .index(number) }
        input.isLooping = source.isLooping
        self.init(name: source.name, input: input, detection: detection)
    }
}

extension SourceListener {
    /// This source in the reply to `status`.
    var status: JSONValue {
        let now = snapshot
        return [
            "name": .string(configuration.name), "device": .string(configuration.input.source.description),
            "state": .string(now.state.rawValue), "opening": .string(now.opening),
            "problem": now.problem.map { .string($0) } ?? .null,
            "audio_seconds": .decimal(now.audioSeconds, places: 3), "events": .integer(now.events),
            "gaps": .integer(now.gaps), "lost_seconds": .decimal(now.lostSeconds, places: 3),
            "overruns": .integer(now.overruns), "dropped_frames": .integer(now.droppedFrames),
            "backlog_seconds": .decimal(now.backlogSeconds, places: 3), "restarts": .integer(now.restarts),
            "level_dbfs": now.levelDecibels.isFinite ? .decimal(Double(now.levelDecibels), places: 1) : .null,
        ]
    }
}

extension SourceReport {
    /// Tells the log what an operator wants to see.
    func log(with logger: Logger) {
        switch content {
        case .event(let event) where event.kind == .onset:
            logger.info("\(source): \(event.label) (\((event.score * 100).rounded() / 100))")
        case .up(let opening), .recovered(let opening):
            logger.info("\(source): listening to \(opening)")
        case .down(let reason):
            logger.error("\(source): \(reason); trying again")
        case .ended(let problem?):
            logger.error("\(source): \(problem)")
        case .ended(nil):
            logger.info("\(source): the source has ended")
        case .gap(_, let lost, let reason):
            logger.warning("\(source): \(Double(lost) / Double(sampleRate)) s of audio lost (\(reason))")
        default: break
        }
    }
}
