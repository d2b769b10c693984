import AudioEmbedding
import TensorKernels
import TestSupport

/// A model directory with random text heads and no audio weights.
struct TextModelFixture {
    static let hiddenSize = 24
    static let tagCount = 11
    static let jointSize = 10
    static let embeddingSize = 13
    static let tagWeight: Float = 0.8
    static let jointWeight: Float = 0.6
    static let soundCount = 7
    static let temperature: Float = 0.3
    static let retrievalWeight: Float = 0.9

    let tensors: [(name: String, shape: [Int], values: [Float])]

    init() {
        var generator = SeededGenerator(seed: 42)
        func tensor(_ name: String, _ shape: [Int]) -> (name: String, shape: [Int], values: [Float]) {
            (name, shape, generator.floats(shape.reduce(1, *)))
        }
        tensors = [
            tensor("text.tags.0.weight", [384, Self.hiddenSize]), tensor("text.tags.0.bias", [Self.hiddenSize]),
            tensor("text.tags.1.weight", [Self.hiddenSize, Self.tagCount]), tensor("text.tags.1.bias", [Self.tagCount]),
            tensor("text.joint.0.weight", [384, Self.hiddenSize]), tensor("text.joint.0.bias", [Self.hiddenSize]),
            tensor("text.joint.1.weight", [Self.hiddenSize, Self.jointSize]),
            tensor("text.joint.1.bias", [Self.jointSize]),
            tensor("metric.factor", [Self.embeddingSize, Self.tagCount + Self.jointSize]),
            tensor("retrieval.keys", [Self.soundCount, Self.jointSize]),
            tensor("retrieval.values", [Self.soundCount, Self.embeddingSize]),
        ]
    }

    func values(_ name: String) -> [Float] { tensors.first { $0.name == name }?.values ?? [] }

    func write(
        to folder: String, dropping dropped: String? = nil, textSize: Int = 384, retrieves: Bool = false,
        temperature: Float = temperature
    ) throws -> ModelDirectory {
        let retrieval = #", "retrieval": {"temperature": \#(temperature), "weight": \#(Self.retrievalWeight)}"#
        let configuration = """
            {"format": 1, "name": "fixture", "version": "1",
             "front_end": {"sample_rate": 32000, "pre_emphasis": 0.97, "window": "hann", "window_periodic": false,
              "window_length": 800, "fft_length": 1024, "hop_length": 320, "center": false, "power": 2.0,
              "mel_scale": "kaldi", "mel_count": 128, "minimum_frequency": 0.0, "maximum_frequency": 15000.0,
              "log_offset": 1e-5, "output_offset": 4.5, "output_scale": 0.2},
             "encoder": {"layers": [{"name": "features.0", "kind": "convolution", "input_channels": 1,
              "output_channels": 8, "kernel": 3, "time_stride": 2, "frequency_stride": 2, "time_dilation": 1,
              "lookahead": 1, "activation": "hardswish"}],
              "step_frames": 2, "embedding_size": 8, "center_frames": 1.0, "lookahead_samples": 320},
             "window": {"steps": 8},
             "projection": {"tag_count": \(Self.tagCount), "hidden_size": 16, "joint_size": \(Self.jointSize),
              "tag_weight": \(Self.tagWeight), "joint_weight": \(Self.jointWeight),
              "embedding_size": \(Self.embeddingSize)\(retrieves ? retrieval : "")},
             "transport": {}, "prompts": {"template": "This is a sound of {label}."}, "detection": {},
             "text": {"model": "all-MiniLM-L6-v2", "embedding_size": \(textSize), "maximum_tokens": 256}}
            """
        try TestSupport.write(Array(configuration.utf8), to: folder + "/config.json")
        try TestSupport.write(
            safetensors(tensors.filter { $0.name != dropped }), to: folder + "/model.safetensors")
        return try ModelDirectory(path: folder)
    }
}
