import Foundation
import Testing

@testable import DaemonConfiguration

@Suite struct DaemonConfigurationTests {
    private func configuration(_ text: String) throws -> DaemonConfiguration {
        try DaemonConfiguration(text: text, path: "/etc/earshot/earshot.yaml")
    }

    /// The lines of the error that the text gives.
    private func problems(_ text: String) -> [String] {
        do {
            _ = try DaemonConfiguration(text: text, path: "e.yaml")
            return []
        } catch {
            return error.description.split(separator: "\n").map(String.init)
        }
    }

    @Test(arguments: ["", "\n\n", "# nothing\n", "---\n", "~"])
    func emptyFileGivesDefaults(text: String) throws {
        #expect(try configuration(text) == DaemonConfiguration())
    }

    @Test func sourcesHaveDetectionSettingsOfTheirOwn() throws {
        let result = try configuration(
            """
            detection: {on: 0.6, off: 0.1, cooldown: 5s, silent_after: 2m}
            overload: widen
            sources:
              - {name: a, device: "alsa:a", detection: {on: 0.3, silent_after: 10s}}
              - {name: b, device: "alsa:b"}
            """)
        #expect(result.overload == .widen)
        let merged = result.sources.map { $0.detection.overriding(result.detection) }
        #expect(merged[0].onThreshold == 0.3 && merged[0].silentAfter == 10)
        #expect(merged[0].offThreshold == 0.1 && merged[0].cooldown == 5)
        #expect(merged[1] == result.detection)
        #expect(
            problems("sources:\n  - name: a\n    device: alsa:a\n    detection:\n      on: 0.2\n      off: 0.4\n")
                == ["e.yaml:6: sources[0].detection.off: must be at most sources[0].detection.on (0.2), not 0.4"])
        #expect(
            problems("overload: wide\ndetection: {silent_after: 0s}\n").map { $0.prefix(20) }
                == ["e.yaml:1: overload: ", "e.yaml:2: detection."])
    }

    @Test func allSettingsAreRead() throws {
        let result = try configuration(
            """
            model: models/mine
            text_encoder: /opt/text
            cache_directory: ./cache
            labels: [dog, "baby = a baby crying", home.txt, /l/x]
            sources:
              - name: mic0
                device: alsa:hw:CARD=Device,DEV=0
                channel: 2
                description: kitchen with a dog
              - name: file-1
                device: sounds/a.wav
                channel: mix
                realtime: yes
                loop: true
                labels: siren
              - {name: stdin, device: "-"}
            detection: {on: 0.6, off: .4, median: 500ms, minimum_length: 0.3s, minimum_gap: 0, cooldown: 2m,
              update_interval: 1, silence_dbfs: -70.5}
            socket:
              path: /tmp/e.sock
              mode: 0600
              group: audio
              client_queue: 10
              stall_timeout: 2.5s
              maximum_clients: 1000
            store: {path: here.db, maximum_age: 7d, maximum_size: 1.5 GB}
            log_level: Debug
            ring: 30
            """)
        #expect(result.modelDirectory == "/etc/earshot/models/mine")
        #expect(result.textEncoderDirectory == "/opt/text")
        #expect(result.cacheDirectory == "/etc/earshot/cache")
        #expect(
            result.labels == [
                .text("dog", line: 4), .text("baby = a baby crying", line: 4), .file("/etc/earshot/home.txt"),
                .file("/l/x"),
            ])
        try #require(result.sources.count == 3)
        #expect(result.sources[0].device == "alsa:hw:CARD=Device,DEV=0")
        #expect(result.sources[0].channel == .number(2))
        #expect(result.sources[0].description == "kitchen with a dog")
        #expect(result.sources[0].labels == nil)
        #expect(result.sources[0].line == 6)
        #expect(result.sources[1].device == "/etc/earshot/sounds/a.wav")
        #expect(result.sources[1].channel == .mix)
        #expect(result.sources[1].isRealtime)
        #expect(result.sources[1].labels == [.text("siren", line: 15)])
        #expect(result.sources[1].isLooping && !result.sources[0].isLooping)
        #expect(result.sources[2].device == "-")
        var detection = DetectionConfiguration()
        detection.onThreshold = 0.6
        detection.offThreshold = 0.4
        detection.medianFilterLength = 0.5
        detection.minimumEventLength = 0.3
        detection.minimumEventGap = 0
        detection.cooldown = 120
        detection.updateInterval = 1
        detection.silenceLevel = -70.5
        #expect(result.detection == detection)
        #expect(result.socket.path == "/tmp/e.sock")
        #expect(result.socket.mode == 0o600)
        #expect(result.socket.group == "audio")
        #expect(result.socket.clientQueueLimit == 10)
        #expect(result.socket.stallTimeout == .milliseconds(2500))
        #expect(result.socket.maximumClients == 1000)
        #expect(result.store.isOn && result.store.path == "/etc/earshot/here.db")
        #expect(result.store.maximumAge == 604_800 && result.store.maximumSize == 1_500_000_000)
        #expect(try configuration("store: off").store.isOn == false)
        #expect(try configuration("store: {}").store == StoreConfiguration())
        #expect(result.logLevel == .debug)
        #expect(result.ringLength == 30)
    }

    @Test(arguments: [
        ("modle: x", "e.yaml:1: modle: unknown setting; did you mean model?"),
        (
            "\n\nsocket:\n  stal_timeout: 3",
            "e.yaml:4: socket.stal_timeout: unknown setting; did you mean stall_timeout?"
        ),
        ("zebra: 1", "e.yaml:1: zebra: unknown setting; known are model, text_encoder,"),
        (
            "sources:\n  - name: a\n    device: b\n    chanel: 1",
            "e.yaml:4: sources[0].chanel: unknown setting; did you mean"
        ),
        ("model:", "e.yaml:1: model: has no value"),
        ("model: [a]", "e.yaml:1: model: must be a folder, not a list"),
        ("labels:", "e.yaml:1: labels: must be a list"),
        ("labels: []", "e.yaml:1: labels: is empty"),
        ("labels:\n  - dog\n  - dog", "e.yaml:3: labels[1]: \"dog\" is given twice"),
        ("labels:\n  - a: b", "e.yaml:2: labels[0]: must be a path or a label, not settings of its own"),
        ("labels:\n  -\n", "e.yaml:2: labels[0]: must be a path or a label"),
        ("sources: mic", "e.yaml:1: sources: must be a list"),
        ("sources: []", "e.yaml:1: sources: is empty"),
        ("sources:\n  - device: alsa:x", "e.yaml:2: sources[0].name: is missing"),
        ("sources:\n  - name: a", "e.yaml:2: sources[0].device: is missing"),
        ("sources:\n  - name: a b\n    device: x", "e.yaml:2: sources[0].name: must be a name of"),
        ("sources:\n  - name: ä\n    device: x", "e.yaml:2: sources[0].name: must be a name of"),
        ("sources:\n  - name: a\n    device: 'alsa:'", "e.yaml:3: sources[0].device: names no device"),
        (
            "sources:\n  - {name: a, device: x}\n  - name: a\n    device: y",
            "e.yaml:3: sources[1].name: \"a\" is the name of the source on line 2 already"
        ),
        ("sources:\n  - {name: a, device: x, channel: 0}", "e.yaml:2: sources[0].channel: must be mix or a number"),
        ("sources:\n  - {name: a, device: 'alsa:x', realtime: true}", "e.yaml:2: sources[0].realtime: is for files"),
        ("store: maybe", "e.yaml:1: store: must be settings"),
        (
            "store: {maximum_size: 5MB}",
            "e.yaml:1: store.maximum_size: must be a size such as 500MB or 2GB (16MB to 1TB)"
        ),
        ("store: {maximum_size: big}", "e.yaml:1: store.maximum_size: must be a size"),
        (
            "store: {maximum_age: 1s}",
            "e.yaml:1: store.maximum_age: must be a time such as 0.3s, 500ms or 2m (1m to 3650d)"
        ),
        ("sources:\n  - {name: a, device: 'alsa:x', loop: true}", "e.yaml:2: sources[0].loop: is for files"),
        ("sources:\n  - {name: a, device: x, realtime: maybe}", "e.yaml:2: sources[0].realtime: must be true or false"),
        ("detection:\n  on: 1.5", "e.yaml:2: detection.on: must be a number from 0 to 1, not \"1.5\""),
        ("detection:\n  on: nan", "e.yaml:2: detection.on: must be a number"),
        ("detection:\n  on: 0x1", "e.yaml:2: detection.on: must be a number"),
        ("detection:\n  on: 0.3\n  off: 0.5", "e.yaml:3: detection.off: must be at most detection.on (0.3)"),
        (
            "detection:\n  cooldown: soon",
            "e.yaml:2: detection.cooldown: must be a time such as 0.3s, 500ms or 2m (0s to 1d)"
        ),
        ("detection:\n  cooldown: -1s", "e.yaml:2: detection.cooldown: must be a time"),
        ("detection:\n  cooldown: 1e3", "e.yaml:2: detection.cooldown: must be a time"),
        ("detection: 5", "e.yaml:1: detection: must be settings of the form"),
        ("socket:\n  mode: 0880", "e.yaml:2: socket.mode: must be rights in octal"),
        ("socket:\n  mode: '07777'", "e.yaml:2: socket.mode: must be rights in octal"),
        ("socket:\n  client_queue: 0", "e.yaml:2: socket.client_queue: must be a whole number from 1"),
        ("socket:\n  stall_timeout: 10ms", "e.yaml:2: socket.stall_timeout: must be a time"),
        ("socket:\n  path: \"a\\0b\"", "e.yaml:2: socket.path: must be a path"),
        ("log_level: loud", "e.yaml:1: log_level: must be one of trace, debug"),
        ("model: a\nring: 2s\nmodel: b", "e.yaml:1: model: given more than once"),
        ("model: [a", "e.yaml:"),
        ("model: a\n\tring: 3", "e.yaml:2: not valid YAML"),
        ("- a\n- b", "e.yaml:1: the file: must be settings"),
        ("just words", "e.yaml:1: the file: must be settings"),
        ("? [a]\n: b", "e.yaml:1: the file: a key must be a plain word"),
        ("model: a\n---\nmodel: b", "e.yaml:3: the file: a second document"),
        ("model: *nothing", "e.yaml:1: not valid YAML"),
        ("model: \u{1}", "e.yaml: not valid YAML"),
    ])
    func problemIsNamedWithItsLine(text: String, expected: String) {
        let lines = problems(text)
        #expect(lines.count == 1, "\(lines)")
        #expect(lines.first?.hasPrefix(expected) == true, "\(lines)")
    }

    @Test func aFileOfMistakesIsToldShortly() {
        #expect(problems((0..<10_000).map { "setting\($0): 1\n" }.joined()).count == 50)
        let long = problems(String(repeating: "a", count: 100_000) + ": 1\n")
        #expect(long.count == 1 && long[0].utf8.count < 300)
    }

    /// Line breaks come into a key by an escape.
    @Test func aMessageStaysOnOneLine() {
        #expect(problems(#""a\nb\r\x00": 1"#).count == 1)
    }

    @Test func aliasesAreReadButDoNotGrow() throws {
        let read = try configuration(
            """
            labels: &common [dog, cat]
            sources:
              - {name: a, device: a.wav, labels: *common}
            """)
        #expect(read.sources[0].labels?.count == 2)
        // Ten lines of this would be a billion values.
        let lines = (1..<10).map { "a\($0): &a\($0) [\(String(repeating: "*a\($0 - 1), ", count: 8))x]\n" }
        let told = problems("a0: &a0 [x]\n" + lines.joined() + "? *a9\n: 1\n")
        #expect(told.count == 1 && told[0].contains("more than 30 aliases"))
    }

    @Test func allProblemsAreToldInOrder() {
        let lines = problems("log_level: x\nsocket:\n  mode: z\n  what: 1\nmodel:\n")
        #expect(lines.map { String($0.prefix(9)) } == ["e.yaml:1:", "e.yaml:3:", "e.yaml:4:", "e.yaml:5:"], "\(lines)")
    }

    @Test(arguments: [
        ("0.3s", 0.3), ("500ms", 0.5), ("30s", 30), ("2m", 120), ("1h", 3600), ("7", 7), ("0", 0), (".5", 0.5),
        ("1.5 s", 1.5), ("1e3", nil), ("s", nil), ("", nil), ("1s2", nil), ("inf", nil), ("1.2.3", nil), ("٣", nil),
    ])
    func durations(text: String, seconds: Double?) {
        #expect(DurationText.seconds(text) == seconds)
    }

    @Test func filesThatCannotBeReadAreNamed() throws {
        func failure(_ path: String) -> String {
            do {
                _ = try DaemonConfiguration(path: path)
                return ""
            } catch {
                return error.description
            }
        }
        #expect(failure("/nowhere/e.yaml") == "/nowhere/e.yaml: cannot be read: No such file or directory")
        #expect(failure("/tmp").hasPrefix("/tmp: cannot be read"))
        let path = NSTemporaryDirectory() + "earshot-configuration-\(getpid()).yaml"
        defer { unlink(path) }
        try Data([0xFF, 0xFE, 0x00]).write(to: URL(fileURLWithPath: path))
        #expect(failure(path).hasSuffix("is not UTF-8 text"))
        try Data(repeating: UInt8(ascii: "#"), count: 1024 * 1024 + 1).write(to: URL(fileURLWithPath: path))
        #expect(failure(path).contains("larger than 1 MiB"))
        try Data("ring: 5s\n".utf8).write(to: URL(fileURLWithPath: path))
        #expect(try DaemonConfiguration(path: path).ringLength == 5)
    }

    @Test(arguments: [
        ("127.0.0.1:9797", MetricsConfiguration.Address.tcp(host: "127.0.0.1", port: 9797)),
        ("127.8.9.10:1", .tcp(host: "127.8.9.10", port: 1)), ("localhost:65535", .tcp(host: "127.0.0.1", port: 65_535)),
        ("\"[::1]:80\"", .tcp(host: "::1", port: 80)), ("/run/m.sock", .unix(path: "/run/m.sock")),
    ]) func metricsAddressesOfThisMachine(text: String, address: MetricsConfiguration.Address) throws {
        #expect(try configuration("metrics: {listen: \(text)}").metrics.address == address)
    }

    @Test(arguments: ["0.0.0.0:9797", "192.168.1.5:9797", "\"[::]:9797\"", "128.0.0.1:9797"])
    func metricsForOthersNeedAWord(text: String) throws {
        let problem = problems("metrics:\n  listen: \(text)\n")
        #expect(problem.count == 1 && problem[0].hasPrefix("e.yaml:2: metrics.listen: other machines may reach"))
        #expect(try configuration("metrics: {listen: \(text), allow_remote: true}").metrics.address?.isLocal == false)
    }

    @Test(arguments: [
        "9797", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "example.org:9797", "m.sock", "\"::1:80\"", "127.1:80",
    ]) func wrongMetricsAddressesSayWhatWouldBeRight(text: String) {
        let problem = problems("metrics: {listen: \(text)}")
        #expect(problem.count == 1 && problem[0].contains("such as 127.0.0.1:9797"), "\(problem)")
    }

    @Test func emptyOperationSectionsAreErrors() {
        #expect(
            problems("metrics: {allow_remote: true}") == [
                "e.yaml:1: metrics.listen: is missing; give an address with its port, such as 127.0.0.1:9797, or the absolute "
                    + "path of a socket"
            ])
        #expect(problems("control: {}") == ["e.yaml:1: control.path: is missing; give a path"])
    }
}
