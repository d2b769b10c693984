import ArgumentParser
import AudioCapture

struct Devices: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lists capture devices by names that survive a reboot.")

    @Flag(help: "Print one JSON line per device.")
    var jsonl = false

    func run() throws {
        let devices = captureDevices()
        for device in devices {
            if jsonl { try printJSON(Line(device)) } else { show(device) }
        }
        if devices.isEmpty && !jsonl {
            print("no capture device: none is plugged in, or /dev/snd is not yours to read")
        }
    }

    private func show(_ device: CaptureDevice) {
        print("alsa:\(device.name)")
        print("    \(device.description)")
        if let can = device.capabilities {
            print(
                "    \(can.sampleRates.lowerBound) to \(can.sampleRates.upperBound) Hz, "
                    + "\(can.channelCounts.lowerBound) to \(can.channelCounts.upperBound) channels, "
                    + can.formats.joined(separator: " "))
        }
        if let problem = device.problem { print("    cannot be opened: \(problem)") }
    }

    private struct Line: Encodable {
        let device: String
        let description: String
        let hardware: Bool
        let formats: [String]?
        let sampleRates: [Int]?
        let channels: [Int]?
        let problem: String?

        enum CodingKeys: String, CodingKey {
            case device, description, hardware, formats
            case sampleRates = "sample_rates"
            case channels, problem
        }

        init(_ device: CaptureDevice) {
            self.device = "alsa:\(device.name)"
            description = device.description
            hardware = device.isHardware
            formats = device.capabilities?.formats
            sampleRates = device.capabilities.map { [$0.sampleRates.lowerBound, $0.sampleRates.upperBound] }
            channels = device.capabilities.map { [$0.channelCounts.lowerBound, $0.channelCounts.upperBound] }
            problem = device.problem
        }
    }
}
