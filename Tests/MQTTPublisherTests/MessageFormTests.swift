import EventMessages
import Foundation
import Testing

@testable import MQTTPublisher

/// Topics, payloads and the position file.
@Suite struct MessageFormTests {
    @Test func differentLabelsHaveDifferentTopics() {
        let labels = [
            "dog", "Dog", "glass breaking", "glass_breaking", "glass-breaking", "glass/breaking", "+", "#", "küche",
            "kuche", "犬",
            "猫", "", "a b", "a  b",
        ]
        let identifiers = labels.map(Topics.identifier)
        #expect(Set(identifiers).count == labels.count, "\(identifiers)")
        #expect(identifiers.allSatisfy { $0.wholeMatch(of: /[a-z0-9_]+/) != nil }, "\(identifiers)")
        #expect(identifiers[0] == "dog" && identifiers[2] == "glass_breaking")
    }

    @Test func eventsHaveAllThatTheSocketGivesAndTheirType() throws {
        let message = SequencedMessage(
            .event(
                EventMessage(
                    kind: .onset, event: "e-1", source: "mic", label: "glass breaking", score: 0.5,
                    onset: Timestamp(secondsSinceEpoch: 1), onsetSample: 5, duration: 1)), sequence: 7)
        var payload = try #require(
            try JSONSerialization.jsonObject(with: Data(message.payload)) as? [String: any Sendable])
        let line = try #require(
            try JSONSerialization.jsonObject(with: Data(message.line)) as? [String: any Sendable])
        #expect(payload.removeValue(forKey: "event_type") as? String == "onset")
        #expect(NSDictionary(dictionary: payload) == NSDictionary(dictionary: line))
        #expect(Topics(base: "a/b").topic(of: message.header) == "a/b/event/mic/glass_breaking")

        let gap = SequencedMessage(
            .gap(
                GapMessage(
                    source: "mic", from: Timestamp(secondsSinceEpoch: 1), to: Timestamp(secondsSinceEpoch: 2),
                    fromSample: 0, duration: 1, reason: "overrun")), sequence: 8)
        #expect(gap.payload == Array(gap.line.dropLast()))
        #expect(Topics(base: "a/b").topic(of: gap.header) == "a/b/gap/mic")
    }

    @Test func entitiesAreJSONWhateverTheLabel() throws {
        let discovery = HomeAssistantDiscovery(
            description: PublishedDescription(
                version: "1", model: "m", labels: ["say \"hi\"", "dog"], sources: ["mic.1"]),
            prefix: "ha", topics: Topics(base: "earshot/küche"))
        let entities = try discovery.configurations.map { topic, payload in
            (topic, try JSONSerialization.jsonObject(with: Data(payload)) as? [String: Any] ?? [:])
        }
        #expect(entities.map { $0.1["name"] as? String } == ["say \"hi\"", "dog", "mic.1"])
        #expect(Set(entities.map { $0.1["unique_id"] as? String ?? "" }).count == 3)
        for (topic, _) in entities {
            let levels = topic.split(separator: "/")
            #expect(levels.count == 5 && levels[0] == "ha" && levels[4] == "config", "\(topic)")
            #expect(levels[2...3].allSatisfy { $0.wholeMatch(of: /[a-zA-Z0-9_-]+/) != nil }, "\(topic)")
        }
    }

    @Test func positionIsReplacedAsAWhole() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("earshot-mqtt-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = PositionFile(path: folder.appendingPathComponent("position").path)
        #expect(file.read() == nil)
        try file.write(41)
        try file.write(9_000_000_000)
        #expect(file.read() == 9_000_000_000)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["position"])
        try Data("damaged".utf8).write(to: URL(fileURLWithPath: file.path))
        #expect(file.read() == nil)
        let error = #expect(throws: MQTTError.self) { try PositionFile(path: "/nowhere/position").write(1) }
        #expect(error?.description.hasPrefix("/nowhere/position: cannot be written: No such file") == true)
    }
}
