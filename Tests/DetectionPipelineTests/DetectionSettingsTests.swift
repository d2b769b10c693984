import AudioEmbedding
import DetectionPipeline
import EventDetection
import Labels
import TestSupport
import Testing

@Suite struct DetectionSettingsTests {
    /// What a sound that goes on must reach, for the shipped threshold, for one of a label and for 1.
    @Test func sustainedThresholdsFollowTheThresholds() throws {
        let model = try Fixture.model()
        var settings = try DetectionSettings(model)
        settings.onThreshold = 0.42
        settings.offThreshold = 0.03
        (settings.sustainedLength, settings.sustainedExponent) = (1.92, 1.9)
        let labels = [
            Fixture.entry("dog"), Fixture.entry("rain", threshold: 0.6), Fixture.entry("siren", threshold: 1),
        ]
        var detector = settings.eventDetector(for: labels, model: model)
        #expect(detector.sustainedLength == 12)
        #expect(detector.labels.map(\.onThreshold) == [0.42, 0.6, 1])
        for (label, expected) in zip(detector.labels, [0.19237, 0.37884, 1] as [Float]) {
            #expect(abs((label.sustainedThreshold ?? 0) - expected) < 1e-4, "\(label)")
            #expect(label.sustainedThreshold ?? 0 >= label.offThreshold)
        }
        settings.sustainedExponent = 1
        detector = settings.eventDetector(for: labels, model: model)
        #expect(detector.labels.map(\.sustainedThreshold) == [0.42, 0.6, 1])
    }

    /// Models of before have no such constants: one share must reach the threshold.
    @Test func aModelWithoutTheConstantsIsHeardAsBefore() throws {
        try withTemporaryDirectory { folder in
            let path = try #require(
                try makeDerivedModel(in: folder, prompts: ["dog"]) { configuration in
                    var detection = configuration["detection"] as? [String: Any] ?? [:]
                    detection["sustained_length"] = nil
                    detection["sustained_exponent"] = nil
                    configuration["detection"] = detection
                })
            let settings = try DetectionSettings(DetectionModel(path: path))
            #expect(settings.sustainedExponent == 1 && settings.sustainedLength == 0)
        }
    }

    @Test(arguments: [("sustained_exponent", 0.5), ("sustained_length", -1), ("sustained_length", 61)])
    func constantsOutOfRangeAreNamed(name: String, value: Double) throws {
        try withTemporaryDirectory { folder in
            let path = try #require(
                try makeDerivedModel(in: folder, prompts: ["dog"]) { configuration in
                    var detection = configuration["detection"] as? [String: Any] ?? [:]
                    detection[name] = value
                    configuration["detection"] = detection
                })
            let model = try DetectionModel(path: path)
            let error = try #require(throws: ModelError.self) { try DetectionSettings(model) }
            #expect(error.description.contains("config.json: detection.\(name)"), "\(error)")
        }
    }
}
