import Testing

@testable import AudioCapture

@Suite struct DeviceIndexTests {
    private let cards = [0: "PCH", 2: "Snowball"]

    @Test(arguments: [
        ("hw:2", "alsa:hw:CARD=Snowball"), ("hw:2,0", "alsa:hw:CARD=Snowball,DEV=0"),
        ("plughw:0,7", "alsa:plughw:CARD=PCH,DEV=7"), ("hw:CARD=2,DEV=1", "alsa:hw:CARD=Snowball,DEV=1"),
        ("dsnoop:0", "alsa:dsnoop:CARD=PCH"),
    ])
    func namesWhatStays(device: String, stable: String) throws {
        let warning = try #require(DeviceIndex.warning(for: device) { cards[$0] })
        #expect(warning.hasPrefix("alsa:\(device) ") && warning.hasSuffix("write \(stable)"), "\(warning)")
    }

    @Test func aMissingCardHasNoName() throws {
        let warning = try #require(DeviceIndex.warning(for: "hw:7,0") { cards[$0] })
        #expect(warning.contains("earshot devices"), "\(warning)")
    }

    @Test(arguments: ["default", "hw:CARD=Snowball,DEV=0", "pulse", "hw:Snowball", "microphone2", "hw:CARD=S2"])
    func otherNamesStay(device: String) {
        #expect(DeviceIndex.warning(for: device) { cards[$0] } == nil)
    }
}
