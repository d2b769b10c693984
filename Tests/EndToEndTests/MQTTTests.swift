import Foundation
import TestSupport
import Testing

/// Events by MQTT, through a real broker.
@Suite(
    .serialized, .enabled(if: Product.isBuilt, "the programs are not built"),
    .enabled(if: Broker.isInstalled, "mosquitto is not installed"))
struct MQTTTests {
    /// Starts a daemon with these settings in the section `mqtt`.
    private func daemon(
        _ place: Workplace, _ broker: Broker, _ settings: [String] = [], host: String = "localhost",
        labels: [String] = ["dog"]
    ) async throws -> TestDaemon {
        let lines = ["host: \(host)", "port: \(broker.port)", "topic: earshot/test"] + settings
        let configuration = try place.folder.write(
            "earshot.yaml",
            """
            labels: [\(labels.joined(separator: ", "))]
            sources:
              - name: mic
                device: "-"
            mqtt:
            \(lines.map { "  " + $0 }.joined(separator: "\n"))

            """)
        return try await TestDaemon(
            place, ["--config", configuration], environment: ["STATE_DIRECTORY": place.folder.path],
            hasInput: true)
    }

    private func mqttStatus(_ daemon: TestDaemon) async throws -> [String: Any] {
        let status = try await daemon.subscriber().subscriber.result("status")
        return try #require(status["mqtt"] as? [String: Any])
    }

    private func isOnline(_ delivery: Broker.Delivery) -> Bool {
        delivery.topic == "earshot/test/status" && delivery.payload == "online"
    }

    @Test func eventsAreWhatTheSocketGives() async throws {
        let place = try Workplace()
        let broker = try Broker(place.folder)
        try await broker.start()
        let reader = try await broker.subscriber()
        let daemon = try await daemon(place, broker)
        _ = try await reader.next("availability", where: isOnline)
        let (client, _) = try await daemon.subscriber()
        try await daemon.program.write(sound(3) + stillness(3))
        for type in ["onset", "offset"] {
            let delivery = try await reader.next(type) { $0.topic == "earshot/test/event/mic/dog" }
            let socket = try await client.message(type)
            var published = try jsonObject(delivery.payload)
            #expect(published.removeValue(forKey: "event_type") as? String == type)
            #expect(NSDictionary(dictionary: published) == NSDictionary(dictionary: socket.object), "\(delivery)")
            #expect(!delivery.isRetained)
        }
        // A late client learns the states, and no old event.
        let late = try await broker.subscriber("earshot/test/+/mic")
        let state = try await late.next("state") { $0.topic == "earshot/test/source/mic" }
        #expect(try state.isRetained && jsonObject(state.payload)["state"] as? String == "up", "\(state)")
        let status = try await mqttStatus(daemon)
        #expect(status["connected"] as? Bool == true && status["problem"] is NSNull, "\(status)")
        #expect((status["published"] as? Int ?? 0) >= 3 && status["reconnects"] as? Int == 0, "\(status)")

        try await daemon.stop()
        _ = try await reader.next("goodbye") { $0.topic == "earshot/test/status" && $0.payload == "offline" }
        try await broker.stop()
    }

    @Test func brokerThatIsAwayMissesNothing() async throws {
        let place = try Workplace()
        let broker = try Broker(place.folder)
        try await broker.start()
        let reader = try await broker.subscriber("earshot/test/#")
        let daemon = try await daemon(place, broker)
        _ = try await reader.next("availability", where: isOnline)
        try await daemon.program.write(sound(3) + stillness(3))
        _ = try await reader.next("offset") { $0.payload.contains(#""type":"offset""#) }
        try await broker.stop()

        let (client, _) = try await daemon.subscriber()
        var last = 0
        for _ in 0..<15 {
            try await daemon.program.write(sound(3) + stillness(15))
            last = Int(try #require(try await client.message("offset").number("seq")))
        }
        #expect(last > 30)
        let away = try await mqttStatus(daemon)
        #expect(away["connected"] as? Bool == false && away["problem"] is String, "\(away)")
        #expect((away["pending"] as? Int ?? 0) >= 30, "\(away)")

        try await broker.start()
        var numbers: [Int] = []
        while numbers.last != last {
            let delivery = try await reader.next("message after \(numbers.last ?? 0) of \(last)") {
                $0.payload.contains(#""seq":"#)
            }
            let number = try #require((try jsonObject(delivery.payload)["seq"] as? NSNumber)?.intValue)
            // The state of the source comes again with each connection, and what was on its way may.
            if number > numbers.last ?? 0 { numbers.append(number) }
        }
        // Two for each of the events in the outage, without a hole, in order.
        #expect(numbers.suffix(30) == Array((last - 29)...last)[...], "\(numbers)")
        let back = try await mqttStatus(daemon)
        #expect(back["connected"] as? Bool == true && back["reconnects"] as? Int == 1, "\(back)")
        #expect(back["expired"] as? Int == 0 && back["refused"] as? Int == 0, "\(back)")
        try await daemon.stop()
        try await broker.stop()
    }

    @Test func theWillTellsOfAKill() async throws {
        let place = try Workplace()
        let broker = try Broker(place.folder)
        try await broker.start()
        let reader = try await broker.subscriber("earshot/test/status")
        let daemon = try await daemon(place, broker)
        _ = try await reader.next("availability", where: isOnline)
        daemon.program.send(SIGKILL)
        _ = try await reader.next("last will") { $0.payload == "offline" }
        try await broker.stop()
    }

    @Test func passwordsComeFromFiles() async throws {
        let place = try Workplace()
        let passwords = place.folder.file("passwords")
        let made = try await run("/usr/bin/mosquitto_passwd", ["-b", "-c", passwords, "ear", "right"])
        #expect(made.exit == .status(0), "\(made)")
        let broker = try Broker(
            place.folder, settings: ["allow_anonymous false", "password_file \(passwords)"],
            clientOptions: ["-u", "ear", "-P", "right"])
        try await broker.start()
        let reader = try await broker.subscriber("earshot/test/status")
        let password = try place.folder.write("password", "wrong\n")
        let settings = ["username: ear", "password_file: \(password)"]
        let refused = try await daemon(place, broker, settings)
        let line = try await refused.program.errors.first("warning") { $0.text.contains("MQTT: ") }
        #expect(line.text.contains("localhost:\(broker.port)") && line.text.contains("not authorised"), "\(line)")
        #expect(try await mqttStatus(refused)["connected"] as? Bool == false)
        try await refused.stop()

        try place.folder.write("password", "right\n")
        let accepted = try await daemon(place, broker, settings)
        _ = try await reader.next("availability", where: isOnline)
        #expect(!accepted.program.errors.all.contains { $0.text.contains("right") })
        try await accepted.stop()

        // A file that is not there is found at the start.
        try FileManager.default.removeItem(atPath: password)
        let outcome = try await run(
            "earshotd", place.options + ["--config", place.folder.file("earshot.yaml"), "--socket", accepted.socket],
            environment: ["STATE_DIRECTORY": place.folder.path])
        #expect(outcome.exit == .status(2), "\(outcome)")
        #expect(outcome.errors.last?.contains(password) == true, "\(outcome)")
        try await broker.stop()
    }

    @Test func certificatesAreChecked() async throws {
        let place = try Workplace()
        let folder = place.folder
        for (name, issuer) in [("ca", nil), ("other", nil), ("broker", "ca"), ("client", "ca")] as [(String, String?)] {
            var arguments = [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=\(name == "broker" ? "localhost" : name)", "-keyout", folder.file("\(name).key"), "-out",
                folder.file("\(name).pem"),
            ]
            if let issuer {
                arguments += ["-CA", folder.file("\(issuer).pem"), "-CAkey", folder.file("\(issuer).key")]
                arguments += [
                    "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=DNS:localhost",
                ]
            }
            let outcome = try await run("/usr/bin/openssl", arguments)
            #expect(outcome.exit == .status(0), "\(outcome)")
        }
        let files = [
            "--cafile", folder.file("ca.pem"), "--cert", folder.file("client.pem"), "--key", folder.file("client.key"),
        ]
        let broker = try Broker(
            folder,
            settings: [
                "allow_anonymous true", "cafile \(folder.file("ca.pem"))", "certfile \(folder.file("broker.pem"))",
                "keyfile \(folder.file("broker.key"))", "require_certificate true",
            ], clientOptions: files)
        try await broker.start()
        let reader = try await broker.subscriber("earshot/test/#")
        let client = ["certificate_file: client.pem", "key_file: client.key"]

        let trusting = try await daemon(place, broker, ["ca_file: ca.pem"] + client)
        _ = try await reader.next("availability", where: isOnline)
        try await trusting.program.write(sound(3) + stillness(3))
        _ = try await reader.next("event") { $0.payload.contains(#""type":"offset""#) }
        try await trusting.stop()

        // Another authority; the right one, and a broker that goes by another name.
        for (settings, host) in [
            (["ca_file: other.pem"] + client, "localhost"), (["ca_file: ca.pem"] + client, "127.0.0.1"),
        ] {
            let distrusting = try await daemon(place, broker, settings, host: host)
            let line = try await distrusting.program.errors.first("warning") { $0.text.contains("MQTT: ") }
            #expect(line.text.contains("certificate verify failed"), "\(line)")
            #expect(try await mqttStatus(distrusting)["connected"] as? Bool == false)
            try await distrusting.stop()
        }
        try await broker.stop()
    }

    @Test func homeAssistantFindsLabelsAndSources() async throws {
        let place = try Workplace()
        let broker = try Broker(place.folder)
        try await broker.start()
        let reader = try await broker.subscriber("homeassistant/#")
        let daemon = try await daemon(
            place, broker, ["discovery: homeassistant"], labels: ["dog", "glass breaking"])
        var entities: [String: [String: Any]] = [:]
        while entities.count < 3 {
            let delivery = try await reader.next("configuration") { _ in true }
            entities[delivery.topic] = try jsonObject(delivery.payload)
        }
        let glass = try #require(entities["homeassistant/event/earshot_test/glass_breaking/config"])
        #expect(glass["name"] as? String == "glass breaking")
        #expect(glass["state_topic"] as? String == "earshot/test/event/+/glass_breaking")
        #expect(glass["event_types"] as? [String] == ["onset", "update", "offset"])
        #expect(glass["availability_topic"] as? String == "earshot/test/status")
        let dog = try #require(entities["homeassistant/event/earshot_test/dog/config"])
        #expect(dog["unique_id"] as? String != glass["unique_id"] as? String)
        let device = try #require(dog["device"] as? [String: Any])
        #expect(device["identifiers"] as? [String] == ["earshot_test"])
        let source = try #require(entities["homeassistant/binary_sensor/earshot_test/mic/config"])
        #expect(source["state_topic"] as? String == "earshot/test/source/mic")
        #expect(source["device_class"] as? String == "connectivity")

        // Other labels: what is gone goes from the broker too.
        let file = place.folder.file("earshot.yaml")
        let text = try String(contentsOfFile: file, encoding: .utf8)
        try place.folder.write("earshot.yaml", text.replacing("dog, ", with: "siren, "))
        daemon.program.send(SIGHUP)
        _ = try await reader.next("new entity") { $0.topic.contains("/siren/") && !$0.payload.isEmpty }
        _ = try await reader.next("removal") { $0.topic.contains("/dog/") && $0.payload.isEmpty }
        try await daemon.stop()
        try await broker.stop()
    }
}
