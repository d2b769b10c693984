import EventMessages

/// What Home Assistant is told of this daemon: a device with an `event` entity per label and a connectivity sensor per
/// source.
///
/// <https://www.home-assistant.io/integrations/event.mqtt/>, <https://www.home-assistant.io/integrations/binary_sensor.mqtt/>
struct HomeAssistantDiscovery: Sendable {
    /// The daemon in words: what it runs, and what it listens for.
    var description: PublishedDescription
    let prefix: String
    let topics: Topics

    /// The daemon among all that use the broker: letters, digits, `_` and `-`.
    private var node: String {
        String(
            topics.base.unicodeScalars.map { scalar -> Character in
                switch scalar {
                case "a"..."z", "A"..."Z", "0"..."9", "-": Character(scalar)
                default: "_"
                }
            })
    }

    /// Matches the configuration topics of this daemon, also those of labels that it no longer has.
    var filter: String { "\(prefix)/+/\(node)/+/config" }

    /// Retained configurations by topic.
    var configurations: [(topic: String, payload: [UInt8])] {
        description.labels.map { label in
            let identifier = Topics.identifier(label)
            return (
                "\(prefix)/event/\(node)/\(identifier)/config",
                payload(
                    name: label, identifier: "label_\(identifier)",
                    [
                        .init("state_topic", .string(topics.events(ofLabel: label))),
                        .init("event_types", ["onset", "update", "offset"]),
                        .init("icon", "mdi:ear-hearing"),
                    ])
            )
        }
            + description.sources.map { source in
                let identifier = Topics.identifier(source)
                return (
                    "\(prefix)/binary_sensor/\(node)/\(identifier)/config",
                    payload(
                        name: source, identifier: "source_\(identifier)",
                        [
                            .init("state_topic", .string(topics.source(source))),
                            .init("device_class", "connectivity"),
                            .init("entity_category", "diagnostic"),
                            .init("value_template", "{{ 'ON' if value_json.state in ['up', 'recovered'] else 'OFF' }}"),
                            .init("json_attributes_topic", .string(topics.source(source))),
                        ])
                )
            }
    }

    private func payload(name: String, identifier: String, _ members: [JSONValue.Member]) -> [UInt8] {
        let common: [JSONValue.Member] = [
            .init("name", .string(name)),
            .init("unique_id", .string("\(node)_\(identifier)")),
            .init("availability_topic", .string(topics.availability)),
            .init("qos", 1),
        ]
        let device: [JSONValue.Member] = [
            .init("origin", ["name": "earshot", "sw_version": .string(description.version)]),
            .init(
                "device",
                [
                    "identifiers": .array([.string(node)]), "name": .string(topics.base), "manufacturer": "earshot",
                    "model": .string(description.model), "sw_version": .string(description.version),
                ]),
        ]
        return Array(JSONValue.object(common + members + device).line.dropLast())
    }
}

/// What the daemon is and listens for.
package struct PublishedDescription: Sendable, Equatable {
    package var version: String
    package var model: String
    package var labels: [String]
    package var sources: [String]

    package init(version: String, model: String, labels: [String], sources: [String]) {
        self.version = version
        self.model = model
        self.labels = labels
        self.sources = sources
    }
}
