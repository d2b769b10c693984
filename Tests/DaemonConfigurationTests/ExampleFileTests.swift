import Foundation
import Testing

@testable import DaemonConfiguration

/// The file that is shipped says what the daemon does.
@Suite struct ExampleFileTests {
    private static let path = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("systemd/earshot.yaml").path

    @Test func exampleIsValidAndHoldsTheDefaults() throws {
        let configuration = try DaemonConfiguration(path: Self.path)
        #expect(configuration.labels == [.file("/usr/local/share/earshot/labels/home-safety.txt")])
        #expect(configuration.sources.map(\.name) == ["mic"])
        #expect(configuration.sources.map(\.device) == ["alsa:default"])
        var defaults = DaemonConfiguration()
        defaults.labels = configuration.labels
        defaults.sources = configuration.sources
        // A run by hand has no control socket unless it is asked for.
        #expect(configuration.controlSocketPath == "/run/earshot/control.sock" && defaults.controlSocketPath == nil)
        defaults.controlSocketPath = configuration.controlSocketPath
        #expect(configuration == defaults)
    }

    /// With each commented setting switched on, the file is still right, and shows every setting there is.
    @Test func everySettingIsShownWithAValueThatIsRight() throws {
        let text = try String(contentsOfFile: Self.path, encoding: .utf8)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line -> Substring in
            // Prose has one space after its "#"; a setting has none, or its indentation.
            line.wholeMatch(of: /#( {2,})?(- )?["a-z].*/) == nil ? line : line.dropFirst()
        }
        let configuration = try DaemonConfiguration(
            text: lines.joined(separator: "\n"), path: "/etc/earshot/earshot.yaml")
        let defaults = DaemonConfiguration()
        #expect(configuration.modelDirectory?.hasSuffix("models/earshot-mn04") == true)
        #expect(configuration.textEncoderDirectory != nil)
        #expect(configuration.cacheDirectory == "/var/cache/earshot")
        #expect(configuration.labels.count == 3)
        #expect(configuration.sources[0].description == "kitchen")
        #expect(configuration.sources[0].labels == [.file("/etc/earshot/kitchen.txt")])
        let detection = configuration.detection
        let values = [
            detection.onThreshold, detection.offThreshold, detection.medianFilterLength, detection.minimumEventLength,
            detection.minimumEventGap, detection.cooldown, detection.updateInterval, detection.silenceLevel,
            detection.silentAfter,
        ]
        #expect(values == [0.42, 0.03, 0.16, 0.16, 1, 10, 5, -80, 60])
        var socket = configuration.socket
        #expect(socket.group == "earshot")
        socket.group = nil
        #expect(socket == defaults.socket)
        var mqtt = MQTTSettings(host: "localhost")
        mqtt.port = 1883
        mqtt.topic = "earshot/kitchen"
        mqtt.clientIdentifier = "earshot-kitchen"
        mqtt.username = "earshot"
        mqtt.passwordFile = "/etc/earshot/mqtt-password"
        mqtt.usesTLS = true
        mqtt.authorityFile = "/etc/earshot/mqtt-ca.pem"
        mqtt.certificateFile = "/etc/earshot/mqtt-cert.pem"
        mqtt.keyFile = "/etc/earshot/mqtt-key.pem"
        mqtt.discoveryPrefix = "homeassistant"
        #expect(configuration.mqtt == mqtt)
        #expect(configuration.metrics.address == .tcp(host: "127.0.0.1", port: 9797))
        #expect(!configuration.metrics.allowsRemote)
        #expect(configuration.logLevel == defaults.logLevel)
        #expect(configuration.ringLength == defaults.ringLength)
        #expect(configuration.overload == defaults.overload)
        #expect(configuration.sources[0].detection.onThreshold == 0.6)
    }
}
