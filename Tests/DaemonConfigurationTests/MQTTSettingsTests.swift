import Testing

@testable import DaemonConfiguration

@Suite struct MQTTSettingsTests {
    private func settings(_ text: String) throws -> MQTTSettings? {
        try DaemonConfiguration(text: text, path: "/etc/earshot/earshot.yaml").mqtt
    }

    @Test func aHostIsEnough() throws {
        #expect(try settings("model: a") == nil)
        #expect(try settings("mqtt: {host: 192.168.1.2}") == MQTTSettings(host: "192.168.1.2"))
        #expect(try settings("mqtt: {host: 'fd00::1'}") == MQTTSettings(host: "fd00::1"))
    }

    @Test func aCertificateMeansTLS() throws {
        var expected = MQTTSettings(host: "b")
        expected.usesTLS = true
        #expect(try settings("mqtt: {host: b, tls: yes}") == expected)
        expected.authorityFile = "/etc/earshot/ca.pem"
        #expect(try settings("mqtt: {host: b, ca_file: ca.pem}") == expected)
    }

    @Test(arguments: [
        ("mqtt: {port: 1883}", "mqtt.host: is missing"),
        ("mqtt: {host: 'a b'}", "mqtt.host: must be a name or an address"),
        ("mqtt: {host: b, port: 0}", "mqtt.port: must be a whole number from 1 to 65535"),
        ("mqtt: {host: b, topic: a/#}", "mqtt.topic: must be topic levels"),
        ("mqtt: {host: b, topic: /a}", "mqtt.topic: must be topic levels"),
        ("mqtt: {host: b, topic: a//b}", "mqtt.topic: must be topic levels"),
        ("mqtt: {host: b, topic: $SYS/a}", "mqtt.topic: must be topic levels"),
        ("mqtt: {host: b, discovery: a+}", "mqtt.discovery: must be topic levels"),
        ("mqtt: {host: b, client_id: a/b}", "mqtt.client_id: must be 1 to 64 letters"),
        ("mqtt: {host: b, password_file: p}", "mqtt.password_file: needs a username"),
        ("mqtt: {host: b, username: u, password: secret}", "mqtt.password: unknown setting; known are host, port"),
        ("mqtt: {host: b, tls: false, ca_file: c}", "mqtt.ca_file: is for tls: true"),
        ("mqtt: {host: b, key_file: c}", "mqtt.key_file: needs a certificate_file"),
        ("mqtt: broker", "mqtt: must be settings of the form"),
    ])
    func problemsAreNamed(text: String, expected: String) {
        let error = #expect(throws: ConfigurationError.self) { try settings(text) }
        #expect(error?.problems.count == 1, "\(String(describing: error))")
        #expect(error?.problems.first?.message.hasPrefix(expected) == true, "\(String(describing: error))")
    }
}
