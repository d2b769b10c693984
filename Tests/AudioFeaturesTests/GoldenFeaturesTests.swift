import AudioEmbedding
import AudioFeatures
import Foundation
import TensorKernels
import TestSupport
import Testing

/// The front end's parts against librosa, scipy and transformers (`training/goldens/features.py`).
@Suite struct GoldenFeaturesTests {
    private let golden: SafetensorsFile
    private let samples: [Float]
    private let frameCount: Int

    init() throws {
        let url = try #require(Bundle.module.url(forResource: "Golden/features", withExtension: "safetensors"))
        golden = try SafetensorsFile(path: url.path)
        samples = try golden.floats("samples", shape: golden.shape(of: "samples"))
        frameCount = LogMelConfiguration.mn04.frameCount(forSampleCount: samples.count)
    }

    @Test(arguments: [(false, "window"), (true, "periodic_window")])
    func windowEqualsScipy(periodic: Bool, name: String) throws {
        let expected = try golden.floats(name, shape: [800])
        let comparison = compare(hannWindow(length: 800, periodic: periodic), expected, absolute: 1e-7)
        #expect(comparison.holds, "\(comparison)")
    }

    @Test func melBankEqualsTransformers() throws {
        let count = try golden.shape(of: "mel_bank_weights")
        let rows = try golden.floats("mel_bank_rows", shape: count)
        let columns = try golden.floats("mel_bank_columns", shape: count)
        let weights = try golden.floats("mel_bank_weights", shape: count)
        var expected = Matrix(rowCount: 513, columnCount: 128)
        for ((row, column), weight) in zip(zip(rows, columns), weights) { expected[Int(row), Int(column)] = weight }
        let comparison = compare(MelBank(.mn04).matrix, expected, absolute: 1e-6)
        #expect(comparison.holds, "\(comparison)")
    }

    @Test func powerSpectrumEqualsLibrosa() throws {
        let spectra = try LogMel(.mn04).powerSpectra(of: samples)
        let kept = Matrix(rows: stride(from: 0, to: spectra.rowCount, by: 4).map(spectra.row))
        let expected = try golden.matrix("power", columnCount: 513)
        let comparison = compare(kept, expected, absolute: 1e-3, relative: 1e-4)
        #expect(comparison.holds, "\(comparison)")
    }

    @Test func logMelEqualsDoublePrecision() throws {
        let expected = try golden.matrix("logmel", columnCount: 128)
        let comparison = compare(try LogMel(.mn04).frames(of: samples), expected, absolute: 1e-4)
        #expect(comparison.holds, "\(comparison)")
    }

    @Test func logMelEqualsTheTrainersFrontEnd() throws {
        guard let path = committedModelPath() else {
            print("skipped: no models/earshot-mn04 in this checkout")
            return
        }
        let model = try ModelConfiguration(path: path + "/config.json")
        let tensors = try SafetensorsFile(path: path + "/golden.safetensors")
        let samples = try tensors.floats("samples", shape: tensors.shape(of: "samples"))
        let expected = try tensors.matrix("logmel", columnCount: model.frontEnd.melCount)
        let comparison = compare(try LogMel(model.frontEnd).frames(of: samples), expected, absolute: 1e-4)
        #expect(comparison.holds, "\(comparison)")
    }
}

extension LogMelConfiguration {
    /// The front end of EfficientAT's mn04.
    static let mn04 = LogMelConfiguration(
        sampleRate: 32000, preEmphasis: 0.97, windowLength: 800, fftLength: 1024, hopLength: 320, melCount: 128,
        minimumFrequency: 0, maximumFrequency: 15000, logOffset: 1e-5, outputOffset: 4.5, outputScale: 0.2)
}
