import AudioEmbedding
import DetectionPipeline
import Labels
import Testing

/// A source's description as a hint to its labels.
@Suite struct LabelWeightsTests {
    private let labels = ["dog", "siren", "rain"].map { Fixture.entry($0, hasTwoPrompts: $0 != "rain") }

    private func weights(for description: String) throws -> [Float] {
        try Fixture.model().labelWeights(for: description, labels: labels, textEncoder: nil, cache: nil)
    }

    /// The model's bundle holds these sentences: the description is one of the prompts itself.
    @Test func favoursWhatIsNearAndRulesNothingOut() throws {
        for (index, description) in ["another dog", "This is a sound of siren.", "This is a sound of rain."]
            .enumerated()
        {
            let weights = try weights(for: description)
            #expect(weights.count == 3 && abs(weights.reduce(0, +) - 1) < 1e-5)
            #expect(weights.max() == weights[index] && weights[index] > 0.5, "\(weights)")
            #expect(weights.allSatisfy { $0 >= 0.5 / 3 }, "\(weights)")
        }
    }

    @Test func withoutATextEncoderItSaysSo() {
        #expect {
            try weights(for: "kitchen with a dog")
        } throws: { error in
            (error as? MissingTextEncoderError)?.prompts == ["kitchen with a dog"]
        }
    }

    /// The weights are what the detector matches with.
    @Test func movesTheShares() throws {
        let model = try Fixture.model()
        func share(_ weights: [Float]?) throws -> Float {
            var settings = try DetectionSettings(model)
            settings.labelWeights = weights
            var scorer = try StepScorer(model, labels: Fixture.labels(["dog", "siren", "rain"]), settings: settings)
            var sum: Float = 0
            forEachChunk(of: Fixture.recording, 5120) { scorer.process($0) { sum += $0.shares[0] } }
            return sum
        }
        let (uniform, favoured) = (try share(nil), try share(try weights(for: "another dog")))
        #expect(favoured > uniform, "\(favoured), \(uniform)")
    }
}
