package import TensorKernels

/// The audio encoder's layers; the `encoder` section of a model's `config.json`.
package struct EncoderConfiguration: Codable, Sendable, Equatable {
    package var layers: [EncoderLayerConfiguration]
    /// Log-mel frames per step: the product of the layers' time strides.
    package var stepFrames: Int
    package var embeddingSize: Int
    /// Time of the middle of what step 0 describes, in frames from the first frame's begin.
    package var centerFrames: Float
    /// Zero samples that a caller appends to a whole clip, so that its last steps come out.
    package var lookaheadSamples: Int

    enum CodingKeys: String, CodingKey {
        case layers
        case stepFrames = "step_frames"
        case embeddingSize = "embedding_size"
        case centerFrames = "center_frames"
        case lookaheadSamples = "lookahead_samples"
    }

    package init(
        layers: [EncoderLayerConfiguration], stepFrames: Int, embeddingSize: Int, centerFrames: Float = 0,
        lookaheadSamples: Int = 0
    ) {
        self.layers = layers
        self.stepFrames = stepFrames
        self.embeddingSize = embeddingSize
        self.centerFrames = centerFrames
        self.lookaheadSamples = lookaheadSamples
    }
}

/// One layer of the audio encoder, as `config.json` describes it.
package struct EncoderLayerConfiguration: Codable, Sendable, Equatable {
    package enum Kind: String, Codable, Sendable, CaseIterable {
        /// A dense k x k convolution over time and frequency.
        case convolution
        /// MobileNetV3: expand, depthwise, squeeze and excite, project, residual; see ``InvertedResidual``.
        case invertedResidual = "inverted_residual"
        /// A product over channels alone.
        case pointwise
    }

    /// The prefix of the layer's tensor names, such as `features.3`.
    package var name: String
    package var kind: Kind
    package var inputChannels: Int
    package var outputChannels: Int
    package var activation: Activation
    /// Taps in time and in frequency, odd. 1 for `pointwise`.
    package var kernel: Int
    package var timeStride: Int
    package var frequencyStride: Int
    package var timeDilation: Int
    /// Input columns after `stride · j` that output j needs, 0 to (kernel - 1) · dilation.
    package var lookahead: Int
    /// Channels between expansion and projection (`inverted_residual`; else `inputChannels`).
    package var expandedChannels: Int
    /// Whether the expansion exists; without it `expandedChannels` equals `inputChannels`.
    package var expand: Bool
    /// Hidden size of squeeze and excite; nil without it.
    package var squeezeChannels: Int?
    /// Depthwise output columns that squeeze and excite averages over.
    package var squeezeWindow: Int?
    package var residual: Bool

    enum CodingKeys: String, CodingKey {
        case name
        case kind
        case inputChannels = "input_channels"
        case outputChannels = "output_channels"
        case activation
        case kernel
        case timeStride = "time_stride"
        case frequencyStride = "frequency_stride"
        case timeDilation = "time_dilation"
        case lookahead
        case expandedChannels = "expanded_channels"
        case expand
        case squeezeChannels = "squeeze_channels"
        case squeezeWindow = "squeeze_window"
        case residual
    }

    /// Decodes what the kind has; the rest takes the values that mean "absent".
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        name = try container.decode(String.self, forKey: .name)
        kind = try container.decodeCase(Kind.self, forKey: .kind)
        inputChannels = try container.decode(Int.self, forKey: .inputChannels)
        outputChannels = try container.decode(Int.self, forKey: .outputChannels)
        activation = try container.decodeCase(Activation.self, forKey: .activation)
        let isConvolution = kind != .pointwise
        kernel = isConvolution ? try container.decode(Int.self, forKey: .kernel) : 1
        timeStride = isConvolution ? try container.decode(Int.self, forKey: .timeStride) : 1
        frequencyStride = isConvolution ? try container.decode(Int.self, forKey: .frequencyStride) : 1
        timeDilation = isConvolution ? try container.decode(Int.self, forKey: .timeDilation) : 1
        lookahead = isConvolution ? try container.decode(Int.self, forKey: .lookahead) : 0
        let isResidual = kind == .invertedResidual
        expandedChannels = isResidual ? try container.decode(Int.self, forKey: .expandedChannels) : inputChannels
        expand = isResidual ? try container.decode(Bool.self, forKey: .expand) : false
        squeezeChannels = isResidual ? try container.decodeIfPresent(Int.self, forKey: .squeezeChannels) : nil
        squeezeWindow = isResidual ? try container.decodeIfPresent(Int.self, forKey: .squeezeWindow) : nil
        residual = isResidual ? try container.decode(Bool.self, forKey: .residual) : false
    }

    package init(
        name: String, kind: Kind, inputChannels: Int, outputChannels: Int, activation: Activation, kernel: Int = 1,
        timeStride: Int = 1, frequencyStride: Int = 1, timeDilation: Int = 1, lookahead: Int = 0,
        expandedChannels: Int? = nil, expand: Bool = false, squeezeChannels: Int? = nil, squeezeWindow: Int? = nil,
        residual: Bool = false
    ) {
        self.name = name
        self.kind = kind
        self.inputChannels = inputChannels
        self.outputChannels = outputChannels
        self.activation = activation
        self.kernel = kernel
        self.timeStride = timeStride
        self.frequencyStride = frequencyStride
        self.timeDilation = timeDilation
        self.lookahead = lookahead
        self.expandedChannels = expandedChannels ?? inputChannels
        self.expand = expand
        self.squeezeChannels = squeezeChannels
        self.squeezeWindow = squeezeWindow
        self.residual = residual
    }

    /// Input columns before `stride · j + lookahead` that output j needs.
    package var history: Int { (kernel - 1) * timeDilation }

    /// Output frequencies for `count` input frequencies (symmetric zero padding of (kernel - 1) / 2).
    package func outputFrequencies(for count: Int) -> Int { (count - 1) / frequencyStride + 1 }

    /// Columns of the batch form for `count` input columns: 0 where not even the first is complete.
    package func outputColumns(for count: Int) -> Int {
        count <= lookahead ? 0 : (count - 1 - lookahead) / timeStride + 1
    }
}

extension KeyedDecodingContainer {
    /// Decodes a string enumeration; an unknown word is an error that lists the known ones.
    fileprivate func decodeCase<T: RawRepresentable & CaseIterable>(
        _ type: T.Type, forKey key: Key
    ) throws -> T where T.RawValue == String {
        let word = try decode(String.self, forKey: key)
        guard let value = T(rawValue: word) else {
            throw DecodingError.dataCorruptedError(
                forKey: key, in: self,
                debugDescription: "'\(word)' is none of \(T.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return value
    }
}
