import AudioEmbedding
import DaemonConfiguration
import DetectionPipeline
import EventMessages
import EventStore
import Foundation
import Labels
import Logging
import MQTTPublisher

extension MQTTPublisher {
    /// The publisher that the configuration asks for, from what the recorder stores.
    ///
    /// - Throws: ``ConfigurationProblem`` where there is no store, or `MQTTError` where a file cannot be used.
    convenience init(
        _ settings: MQTTSettings, recorder: EventRecorder?, description: PublishedDescription, logger: Logger
    ) throws {
        guard let recorder else {
            throw ConfigurationProblem("mqtt: publishes from the event store, and there is none; set store.path")
        }
        let hostName = ProcessInfo.processInfo.hostName
        var configuration = MQTTConfiguration(
            host: settings.host, port: settings.port ?? (settings.usesTLS ? 8883 : 1883),
            clientIdentifier: settings.clientIdentifier ?? "earshot-\(hostName)",
            topic: settings.topic ?? "earshot/\(hostName)")
        configuration.username = settings.username
        configuration.passwordFile = settings.passwordFile
        if settings.usesTLS {
            var tls = MQTTConfiguration.TLS()
            tls.authorityFile = settings.authorityFile
            tls.certificateFile = settings.certificateFile
            tls.keyFile = settings.keyFile
            configuration.tls = tls
        }
        configuration.discoveryPrefix = settings.discoveryPrefix
        let folder = URL(fileURLWithPath: recorder.configuration.path).deletingLastPathComponent()
        configuration.positionPath = folder.appendingPathComponent("mqtt-position").path
        try self.init(
            configuration, description: description,
            log: MessageLog(
                lastSequence: { recorder.lastSequence }, messages: { try recorder.messages(after: $0, limit: $1) }),
            logger: logger)
    }

    /// Publishing in the reply to `status`.
    var statusValue: JSONValue {
        let now = status
        return [
            "broker": .string("\(configuration.host):\(configuration.port)"), "topic": .string(configuration.topic),
            "connected": .boolean(now.isConnected), "problem": now.problem.map { .string($0) } ?? .null,
            "published": .integer(now.published), "pending": .integer(pending),
            "acknowledged_seq": .integer(now.acknowledged), "expired": .integer(now.expired),
            "refused": .integer(now.refused), "reconnects": .integer(now.reconnects),
        ]
    }
}

extension PublishedDescription {
    init(_ configuration: DaemonConfiguration, labels: LabelSets, model: DetectionModel) {
        self.init(
            version: earshotVersion, model: model.configuration.name, labels: labels.entries.map(\.name),
            sources: configuration.sources.map(\.name))
    }
}
