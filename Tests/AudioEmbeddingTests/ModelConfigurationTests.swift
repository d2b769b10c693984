import AudioEmbedding
import AudioFeatures
import TestSupport
import Testing

@Suite struct ModelConfigurationTests {
    private func read(_ text: String) throws -> ModelConfiguration {
        try withTemporaryDirectory { directory in
            try write(Array(text.utf8), to: directory + "/config.json")
            return try ModelConfiguration(path: directory + "/config.json")
        }
    }

    @Test func readsWhatTheTrainerWrites() throws {
        let configuration = try read(TinyModel.configuration)
        #expect(configuration.frontEnd.hopLength == 320)
        #expect(
            configuration.encoder.layers.map(\.kind) == [
                .convolution, .invertedResidual, .invertedResidual, .pointwise,
            ])
        #expect(configuration.encoder.layers[1].squeezeChannels == nil)
        #expect(configuration.encoder.lookaheadFrames == 1 + 2 * 1 + 4 * 2)
        #expect(configuration.transport["price"] == 0.5)
        #expect(configuration.secondPass == nil)
        #expect(configuration.projection.vectorSize == 13)
    }

    @Test(arguments: [
        (#""format": 1"#, #""format": 2"#, "format: is wrong: 2; this version reads format 1"),
        (#""format": 1"#, #""format": "1""#, "format: is not a whole number"),
        (#""format": 1,"#, "", "format: is missing"),
        (
            #""hop_length": 320"#, #""hop_length": 0"#,
            "front_end.hop_length: is 0, not 1 to window_length (800) samples"
        ),
        (#""hop_length": 320"#, #""hop_length": 801"#, "front_end.hop_length: is 801"),
        (#""hop_length": 320"#, #""hop_length": 3.5"#, "is not JSON, or has a fraction"),
        (#""window": "hann""#, #""window": "kaiser""#, "front_end.window: is 'kaiser'; only 'hann' is known"),
        (#""fft_length": 1024"#, #""fft_length": 512"#, "front_end.window_length: is 800, not 2 to fft_length (512)"),
        (#""center": false"#, #""center": true"#, "front_end.center: is true"),
        (#""mel_scale": "kaldi""#, #""mel_scale": "slaney""#, "front_end.mel_scale: is 'slaney'"),
        (#""maximum_frequency": 15000.0"#, #""maximum_frequency": 17000"#, "front_end.maximum_frequency: is 17000.0"),
        (#""log_offset": 1e-5"#, #""log_offset": 0"#, "front_end.log_offset: is 0.0, not above zero"),
        (
            #""kind": "pointwise""#, #""kind": "recurrent""#,
            "encoder.layers[3].kind: is wrong: 'recurrent' is none of convolution, inverted_residual, pointwise"
        ),
        (
            #""activation": "relu""#, #""activation": "gelu""#,
            "encoder.layers[1].activation: is wrong: 'gelu' is none of none, relu, hardswish"
        ),
        (#""squeeze_window": 5"#, #""squeeze_window": null"#, "encoder.layers[2].squeeze_window: is missing"),
        (#""squeeze_window": 5"#, #""squeeze_window": 0"#, "encoder.layers[2].squeeze_window: is 0"),
        (#""kernel": 5"#, #""kernel": 4"#, "encoder.layers[2].kernel: is 4, not an odd number"),
        (#""kernel": 5"#, #""kernel": 1001"#, "encoder.layers[2].kernel: is 1001"),
        (#""lookahead": 2"#, #""lookahead": 9"#, "encoder.layers[2].lookahead: is 9, not 0 to 8 columns"),
        (
            #""expanded_channels": 24"#, #""expanded_channels": 20"#,
            "encoder.layers[2].expanded_channels: is 20, not a multiple of 8"
        ),
        (
            #""input_channels": 16"#, #""input_channels": 24"#,
            "encoder.layers[2].input_channels: is 24; the layer before gives 16"
        ),
        (#""residual": false"#, #""residual": true"#, "encoder.layers[1].residual: is true, but the strides"),
        (#""step_frames": 4"#, #""step_frames": 8"#, "encoder.step_frames: is 8; the product"),
        (#""embedding_size": 32"#, #""embedding_size": 16"#, "encoder.embedding_size: is 16; the last layer has 32"),
        (#""tag_count": 7"#, #""tag_count": -7"#, "projection.tag_count: is -7"),
        (#""steps": 8"#, #""steps": 0"#, "window.steps: is 0"),
        ("{label}", "label", "prompts.template: has no {label} in it"),
    ])
    func errorsNameFileAndField(original: String, replacement: String, expected: String) throws {
        let text = TinyModel.configuration.replacingFirst(original, with: replacement)
        #expect(text != TinyModel.configuration)
        let error = try #require(throws: ModelError.self) { try read(text) }
        #expect(error.path.hasSuffix("/config.json"))
        #expect(error.description.contains("/config.json: " + expected), "\(error)")
        #expect(!error.description.contains("\n"))
    }

    /// With a second encoder of one layer.
    private func secondPass(share: String = #""share": 0.5,"#, size: Int = 32, lookahead: Int = 1) -> String {
        TinyModel.configuration.replacingFirst(
            #""window": {"#,
            with: #"""
                "second_pass": {\#(share) "encoder": {
                  "step_frames": 1, "embedding_size": \#(size), "center_frames": 0, "lookahead_samples": 320, "layers": [
                  {"name": "second_pass.features.0", "kind": "convolution", "input_channels": 1,
                   "output_channels": \#(size), "kernel": 3, "time_stride": 1, "frequency_stride": 2,
                   "time_dilation": 1, "lookahead": \#(lookahead), "activation": "hardswish"}]}},
                "window": {
                """#)
    }

    @Test func readsASecondPass() throws {
        let second = try #require(try read(secondPass()).secondPass)
        #expect(second.share == 0.5 && second.encoder.layers.map(\.name) == ["second_pass.features.0"])
    }

    @Test func errorsNameTheSecondPass() throws {
        for (text, expected) in [
            (secondPass(share: #""share": 1.5,"#), "second_pass.share: is 1.5, not 0 to 1"),
            (secondPass(share: ""), "second_pass.share: is missing"),
            (secondPass(size: 16), "second_pass.encoder.embedding_size: is 16 instead of the first encoder's 32"),
            (secondPass(lookahead: 9), "second_pass.encoder.layers[0].lookahead: is 9, not 0 to 2 columns"),
        ] {
            let error = try #require(throws: ModelError.self) { try read(text) }
            #expect(error.description.contains("/config.json: " + expected), "\(error)")
        }
    }

    @Test(arguments: ["", "{", "[]", "null", "\u{0}\u{1}", String(repeating: "[", count: 100_000)])
    func refusesWhatIsNoConfiguration(text: String) throws {
        let error = try #require(throws: ModelError.self) { try read(text) }
        #expect(error.path.hasSuffix("/config.json"))
    }

    @Test func missingDirectoryIsNamed() throws {
        let error = try #require(throws: ModelError.self) { try ModelDirectory(path: "/nonexistent") }
        #expect(error.description == "/nonexistent/config.json: cannot be read")
    }
}

extension String {
    func replacingFirst(_ text: String, with replacement: String) -> String {
        guard let range = firstRange(of: text) else { return self }
        return self[..<range.lowerBound] + replacement + self[range.upperBound...]
    }
}
