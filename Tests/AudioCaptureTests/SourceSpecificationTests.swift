import Testing

@testable import AudioCapture

@Suite struct SourceSpecificationTests {
    @Test(arguments: [
        ("alsa:default", SourceSpecification.alsa(device: "default")),
        ("alsa:hw:CARD=Device,DEV=0", .alsa(device: "hw:CARD=Device,DEV=0")),
        ("-", .standardInput),
        ("/tmp/a b.wav", .file(path: "/tmp/a b.wav")),
        ("./alsa:x", .file(path: "./alsa:x")),
        ("alsa", .file(path: "alsa")),
    ])
    func parses(text: String, expected: SourceSpecification) throws {
        let parsed = try SourceSpecification(text)
        #expect(parsed == expected)
        #expect(parsed.description == text)
    }

    @Test(arguments: ["", "alsa:", "alsa:  ", "a\0b"])
    func refuses(text: String) {
        #expect {
            try SourceSpecification(text)
        } throws: { error in
            let error = error as? AudioCaptureError
            return error?.kind == .usage && error?.description.contains("alsa:") == true
                && error?.description.contains("\n") == false
        }
    }

    @Test func channelsAreChecked() throws {
        try ChannelSelection.index(2).check(channelCount: 2, source: "x")
        try ChannelSelection.mix.check(channelCount: 1, source: "x")
        #expect(throws: AudioCaptureError(.usage, "x: channel = 3, but the source has 2 channels")) {
            try ChannelSelection.index(3).check(channelCount: 2, source: "x")
        }
        #expect(throws: AudioCaptureError(.usage, "x: channel = 0 is wrong; the first channel is 1")) {
            try ChannelSelection.index(0).check(channelCount: 2, source: "x")
        }
    }
}
