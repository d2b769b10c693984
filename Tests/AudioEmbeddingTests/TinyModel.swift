import AudioEmbedding
import TestSupport

/// A model of every layer kind, small enough for exhaustive tests, with seeded weights.
enum TinyModel {
    static let configuration = #"""
        {"format": 1, "name": "tiny", "version": "1",
         "front_end": {"sample_rate": 32000, "pre_emphasis": 0.97, "window": "hann", "window_periodic": false,
           "window_length": 800, "fft_length": 1024, "hop_length": 320, "center": false, "power": 2.0,
           "mel_scale": "kaldi", "mel_count": 18, "minimum_frequency": 0.0, "maximum_frequency": 15000.0,
           "log_offset": 1e-5, "output_offset": 4.5, "output_scale": 0.2},
         "encoder": {"step_frames": 4, "embedding_size": 32, "center_frames": 3.5, "lookahead_samples": 3520, "layers": [
           {"name": "features.0", "kind": "convolution", "input_channels": 1, "output_channels": 8, "kernel": 3,
            "time_stride": 2, "frequency_stride": 2, "time_dilation": 1, "lookahead": 1, "activation": "hardswish"},
           {"name": "features.1", "kind": "inverted_residual", "input_channels": 8, "expanded_channels": 8,
            "output_channels": 16, "kernel": 3, "time_stride": 2, "frequency_stride": 2, "time_dilation": 1,
            "lookahead": 1, "activation": "relu", "squeeze_channels": null, "squeeze_window": null,
            "residual": false, "expand": false},
           {"name": "features.2", "kind": "inverted_residual", "input_channels": 16, "expanded_channels": 24,
            "output_channels": 16, "kernel": 5, "time_stride": 1, "frequency_stride": 1, "time_dilation": 2,
            "lookahead": 2, "activation": "hardswish", "squeeze_channels": 5, "squeeze_window": 5,
            "residual": true, "expand": true},
           {"name": "features.3", "kind": "pointwise", "input_channels": 16, "output_channels": 32,
            "activation": "hardswish"}]},
         "window": {"steps": 8},
         "projection": {"tag_count": 7, "hidden_size": 10, "joint_size": 6, "tag_weight": 0.8, "joint_weight": 0.6,
           "embedding_size": 9},
         "transport": {"price": 0.5, "note": "a number is kept, a word is not"},
         "prompts": {"template": "This is a sound of {label}."},
         "text": {"model": "all-MiniLM-L6-v2", "embedding_size": 384, "maximum_tokens": 256}}
        """#

    /// Names and shapes of the tensors that the configuration asks for.
    static let shapes: [(name: String, shape: [Int])] = [
        ("features.0.weight", [3, 3, 1, 8]), ("features.0.bias", [8]), ("features.1.depthwise.weight", [3, 3, 8]),
        ("features.1.depthwise.bias", [8]), ("features.1.project.weight", [8, 16]), ("features.1.project.bias", [16]),
        ("features.2.expand.weight", [16, 24]), ("features.2.expand.bias", [24]),
        ("features.2.depthwise.weight", [5, 5, 24]), ("features.2.depthwise.bias", [24]),
        ("features.2.squeeze.fc1.weight", [24, 5]), ("features.2.squeeze.fc1.bias", [5]),
        ("features.2.squeeze.fc2.weight", [5, 24]), ("features.2.squeeze.fc2.bias", [24]),
        ("features.2.project.weight", [24, 16]), ("features.2.project.bias", [16]), ("features.3.weight", [16, 32]),
        ("features.3.bias", [32]), ("hidden.weight", [32, 10]), ("hidden.bias", [10]), ("tags.weight", [10, 7]),
        ("tags.bias", [7]), ("tags.mean", [7]), ("tags.scale", [7]), ("audio.joint.0.weight", [42, 11]),
        ("audio.joint.0.bias", [11]), ("audio.joint.1.weight", [11, 6]), ("audio.joint.1.bias", [6]),
        ("metric.factor", [9, 13]),
    ]

    /// Writes the model and reads it back; `changing` may drop or reshape tensors first.
    static func load(
        changing change: (inout [(name: String, shape: [Int])]) -> Void = { _ in },
        configuration text: String = configuration
    ) throws -> ModelDirectory {
        try withTemporaryDirectory { directory in
            var generator = SeededGenerator(seed: 3)
            var shapes = shapes
            change(&shapes)
            let tensors = shapes.map { name, shape in
                (name: name, shape: shape, values: generator.floats(shape.reduce(1, *), in: -0.5...0.5))
            }
            try write(Array(text.utf8), to: directory + "/config.json")
            try write(safetensors(tensors), to: directory + "/model.safetensors")
            return try ModelDirectory(path: directory)
        }
    }
}
