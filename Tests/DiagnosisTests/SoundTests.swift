import DaemonConfiguration
import EventClient
import Foundation
import Testing

@testable import Diagnosis

@Suite struct SoundTests {
    /// A folder like `/dev/snd`, whose capture device has these rights.
    private func withNodes(_ mode: mode_t, _ body: (String) throws -> Void) throws {
        let folder = NSTemporaryDirectory() + "earshot-snd-\(getpid())-\(mode)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for node in ["controlC0", "pcmC0D0c", "pcmC0D0p"] {
            try Data().write(to: URL(fileURLWithPath: "\(folder)/\(node)"))
            chmod("\(folder)/\(node)", mode)
        }
        try body(folder)
    }

    private func diagnosis(_ folder: String, device: String = "alsa:default") -> Diagnosis {
        var configuration = DaemonConfiguration()
        configuration.sources = [SourceConfiguration(name: "mic", device: device)]
        var diagnosis = Diagnosis(configuration)
        diagnosis.soundFolder = folder
        return diagnosis
    }

    /// A unit whose daemon runs as a user that owns nothing.
    private let service = ServiceState(
        unit: "test.service", properties: ["LoadState": "loaded", "ActiveState": "active", "User": "nobody"])

    @Test func devicesOfOthersFail() throws {
        try withNodes(0o660) { folder in
            let finding = diagnosis(folder).checkSoundFolder(service)
            #expect(finding.verdict == .fail, "\(finding)")
            #expect(finding.message.contains("nobody may not open \(folder)/pcmC0D0c"), "\(finding)")
            #expect(finding.advice?.contains("adduser nobody audio") == true, "\(finding)")
            #expect(diagnosis(folder, device: "/a.wav").checkSoundFolder(service).verdict == .ok)
        }
        try withNodes(0o666) { folder in
            let finding = diagnosis(folder).checkSoundFolder(service)
            #expect(finding.verdict == .ok && finding.message.contains("all 1 capture devices"), "\(finding)")
        }
        #expect(diagnosis("/nowhere").checkSoundFolder(service).verdict == .warn)
    }

    /// What the daemon says of a device that it holds itself.
    @Test(arguments: [("up", Finding.Verdict.ok), ("silent", .fail), ("down", .fail)])
    func busyDeviceOfTheDaemon(state: String, verdict: Finding.Verdict) throws {
        let json = """
            {"version":"1","model":"m","labels":1,"sources":[{"name":"mic","device":"alsa:hw:0","state":"\(state)",
            "opening":"alsa:hw:0: 48000 Hz","problem":null,"level_dbfs":-41.5}]}
            """
        let status = try DaemonStatus(json: Data(json.utf8))
        let finding = Diagnosis.judge("source mic", busy: status.sources[0])
        #expect(finding.verdict == verdict, "\(finding)")
        #expect(finding.message.contains("the daemon has it open") && finding.message.contains("level -41.5 dBFS"))
    }
}
