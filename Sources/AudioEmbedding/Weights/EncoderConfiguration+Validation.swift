extension EncoderConfiguration {
    /// - Parameters:
    ///   - section: the encoder's place in `config.json`.
    ///   - melCount: frequencies of the front end.
    /// - Throws: ``FieldError`` for the first field that the encoder cannot compute.
    func validate(at section: String, melCount: Int) throws {
        guard (1...256).contains(layers.count) else {
            throw FieldError("\(section).layers", "has \(layers.count) entries, not 1 to 256")
        }
        var channels = 1
        var frequencies = melCount
        var stride = 1
        var names: Set<String> = []
        for (index, layer) in layers.enumerated() {
            try layer.validate(at: "\(section).layers[\(index)]", inputChannels: channels)
            guard names.insert(layer.name).inserted else {
                throw FieldError("\(section).layers[\(index)].name", "'\(layer.name)' is used twice")
            }
            channels = layer.outputChannels
            frequencies = layer.outputFrequencies(for: frequencies)
            stride *= layer.timeStride
            guard stride <= 4096 else {
                throw FieldError("\(section).layers[\(index)].time_stride", "makes a step longer than 4096 frames")
            }
        }
        guard stepFrames == stride else {
            throw FieldError(
                "\(section).step_frames", "is \(stepFrames); the product of the layers' time strides is \(stride)")
        }
        guard embeddingSize == channels else {
            throw FieldError(
                "\(section).embedding_size", "is \(embeddingSize); the last layer has \(channels) output channels")
        }
        guard centerFrames.isFinite else { throw FieldError("\(section).center_frames", "is not finite") }
        guard (0...100_000_000).contains(lookaheadSamples) else {
            throw FieldError("\(section).lookahead_samples", "is \(lookaheadSamples), not 0 to 100000000")
        }
    }

    /// Log-mel frames after the one where a step begins that the step needs: the layers' lookaheads, in frames.
    package var lookaheadFrames: Int {
        var stride = 1
        var frames = 0
        for layer in layers {
            frames += layer.lookahead * stride
            stride *= layer.timeStride
        }
        return frames
    }
}

extension EncoderLayerConfiguration {
    fileprivate func validate(at field: String, inputChannels expected: Int) throws {
        func require(_ holds: Bool, _ key: String, _ problem: String) throws {
            if !holds { throw FieldError("\(field).\(key)", problem) }
        }
        try require(!name.isEmpty && name.utf8.count <= 100, "name", "is empty or longer than 100 bytes")
        try require(
            inputChannels == expected, "input_channels", "is \(inputChannels); the layer before gives \(expected)")
        for (key, count) in [("output_channels", outputChannels), ("expanded_channels", expandedChannels)]
        where key == "output_channels" || kind == .invertedResidual {
            try require(
                count % 8 == 0 && (8...4096).contains(count), key, "is \(count), not a multiple of 8 from 8 to 4096")
        }
        try require(
            kernel % 2 == 1 && (1...31).contains(kernel), "kernel", "is \(kernel), not an odd number from 1 to 31")
        try require((1...16).contains(frequencyStride), "frequency_stride", "is \(frequencyStride), not 1 to 16")
        try require((1...64).contains(timeDilation), "time_dilation", "is \(timeDilation), not 1 to 64")
        try require(
            (1...min(16, history + 1)).contains(timeStride), "time_stride",
            "is \(timeStride), not 1 to \(min(16, history + 1)) (no further than the kernel reaches)")
        try require((0...history).contains(lookahead), "lookahead", "is \(lookahead), not 0 to \(history) columns")
        try require(
            expand || expandedChannels == inputChannels, "expand",
            "is false, but expanded_channels (\(expandedChannels)) differs from input_channels (\(inputChannels))")
        if let squeezeChannels {
            try require(
                (1...4096).contains(squeezeChannels), "squeeze_channels", "is \(squeezeChannels), not 1 to 4096")
            try require(squeezeWindow != nil, "squeeze_window", "is missing beside squeeze_channels")
        }
        if let squeezeWindow {
            try require((1...65536).contains(squeezeWindow), "squeeze_window", "is \(squeezeWindow), not 1 to 65536")
        }
        if residual {
            try require(
                timeStride == 1 && frequencyStride == 1 && inputChannels == outputChannels, "residual",
                "is true, but the strides are not 1 or input_channels and output_channels differ")
        }
    }
}

/// A field of `config.json` that cannot be used; the reader adds the file's path.
struct FieldError: Error {
    let field: String
    let problem: String

    init(_ field: String, _ problem: String) {
        self.field = field
        self.problem = problem
    }
}
