package import AudioFeatures

/// A model's `config.json`.
package struct ModelConfiguration: Codable, Sendable, Equatable {
    /// The layout of the model directory that this code reads.
    package static let supportedFormat = 1

    package var format: Int
    package var name: String
    package var version: String
    package var frontEnd: LogMelConfiguration
    package var encoder: EncoderConfiguration
    /// How whole clips are heard a second time; nil where the stream's encoder hears them alone.
    package var secondPass: SecondPassConfiguration?
    package var window: WindowConfiguration
    package var projection: ProjectionConfiguration
    /// Constants of the streaming matcher.
    package var transport: ModelConstants
    package var prompts: PromptConfiguration
    /// Calibrated defaults of the event detector.
    package var detection: ModelConstants
    package var text: TextConfiguration
    /// Sentences behind `prompt_embeddings` of `golden.safetensors`; empty where there are none.
    package var goldenPrompts: [String]

    /// A second encoder for whole clips: it looks further ahead than a stream can wait. Both give embeddings of one
    /// space, through the same joint projection and metric; a clip's embedding is their weighted mean.
    package struct SecondPassConfiguration: Codable, Sendable, Equatable {
        /// Its layers' names are those of its tensors, as in the stream's encoder.
        package var encoder: EncoderConfiguration
        /// Its share of a clip's embedding, 0 to 1.
        package var share: Float

        /// What the names of its tensors begin with.
        package static let tensorPrefix = "second_pass."
    }

    /// The pooled sliding window.
    package struct WindowConfiguration: Codable, Sendable, Equatable {
        /// Steps that one window pools.
        package var steps: Int
        /// Steps from one window to the next; 1 where the file does not say.
        package var hopSteps: Int

        enum CodingKeys: String, CodingKey {
            case steps
            case hopSteps = "hop_steps"
        }

        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            steps = try container.decode(Int.self, forKey: .steps)
            hopSteps = try container.decodeIfPresent(Int.self, forKey: .hopSteps) ?? 1
        }
    }

    /// From pooled steps to the vector that transport compares.
    package struct ProjectionConfiguration: Codable, Sendable, Equatable {
        package var tagCount: Int
        package var hiddenSize: Int
        /// D, the size of the joint part of an audio or text vector.
        package var jointSize: Int
        package var tagWeight: Float
        package var jointWeight: Float
        /// r, the rows of the metric's factor L.
        package var embeddingSize: Int
        /// How texts recall sounds; nil where they do not.
        package var retrieval: RetrievalConfiguration?

        /// Elements of an audio or text vector: tags, then joint part.
        package var vectorSize: Int { tagCount + jointSize }

        enum CodingKeys: String, CodingKey {
            case tagCount = "tag_count"
            case hiddenSize = "hidden_size"
            case jointSize = "joint_size"
            case tagWeight = "tag_weight"
            case jointWeight = "joint_weight"
            case embeddingSize = "embedding_size"
            case retrieval
        }
    }

    /// A text's attention over training sounds, see `SoundRetrieval`.
    package struct RetrievalConfiguration: Codable, Sendable, Equatable {
        /// Of the softmax over cosines of joint vectors; > 0.
        package var temperature: Float
        /// Length of what is added to an embedding; at least 0.
        package var weight: Float
    }

    package struct PromptConfiguration: Codable, Sendable, Equatable {
        /// The sentence a bare label is embedded as, with `{label}` in the label's place.
        package var template: String
    }

    /// The text encoder that the text projections were trained on.
    package struct TextConfiguration: Codable, Sendable, Equatable {
        package var model: String
        package var embeddingSize: Int
        package var maximumTokens: Int
        /// Of its weight file, in hexadecimal; nil where not pinned.
        package var weightsSHA256: String?

        enum CodingKeys: String, CodingKey {
            case model
            case embeddingSize = "embedding_size"
            case maximumTokens = "maximum_tokens"
            case weightsSHA256 = "weights_sha256"
        }
    }

    enum CodingKeys: String, CodingKey {
        case format
        case name
        case version
        case frontEnd = "front_end"
        case encoder
        case secondPass = "second_pass"
        case window
        case projection
        case transport
        case prompts
        case detection
        case text
        case goldenPrompts = "golden_prompts"
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        format = try container.decode(Int.self, forKey: .format)
        guard format == Self.supportedFormat else {
            throw DecodingError.dataCorruptedError(
                forKey: .format, in: container,
                debugDescription: "\(format); this version reads format \(Self.supportedFormat)")
        }
        name = try container.decode(String.self, forKey: .name)
        version = try container.decode(String.self, forKey: .version)
        frontEnd = try container.decode(LogMelConfiguration.self, forKey: .frontEnd)
        encoder = try container.decode(EncoderConfiguration.self, forKey: .encoder)
        secondPass = try container.decodeIfPresent(SecondPassConfiguration.self, forKey: .secondPass)
        window = try container.decode(WindowConfiguration.self, forKey: .window)
        projection = try container.decode(ProjectionConfiguration.self, forKey: .projection)
        transport = try container.decodeIfPresent(ModelConstants.self, forKey: .transport) ?? ModelConstants([:])
        prompts = try container.decode(PromptConfiguration.self, forKey: .prompts)
        detection = try container.decodeIfPresent(ModelConstants.self, forKey: .detection) ?? ModelConstants([:])
        text = try container.decode(TextConfiguration.self, forKey: .text)
        goldenPrompts = try container.decodeIfPresent([String].self, forKey: .goldenPrompts) ?? []
    }

    /// - Throws: ``FieldError``.
    func validate() throws {
        do {
            try frontEnd.validate()
        } catch let error as LogMelConfigurationError {
            throw FieldError("front_end.\(error.field)", error.problem)
        }
        try encoder.validate(at: "encoder", melCount: frontEnd.melCount)
        if let secondPass {
            try secondPass.encoder.validate(at: "second_pass.encoder", melCount: frontEnd.melCount)
            guard secondPass.encoder.embeddingSize == encoder.embeddingSize else {
                throw FieldError(
                    "second_pass.encoder.embedding_size",
                    "is \(secondPass.encoder.embeddingSize) instead of the first encoder's \(encoder.embeddingSize)")
            }
            guard (0...1).contains(secondPass.share) else {
                throw FieldError("second_pass.share", "is \(secondPass.share), not 0 to 1")
            }
        }
        guard (1...4096).contains(window.steps) else {
            throw FieldError("window.steps", "is \(window.steps), not 1 to 4096")
        }
        guard (1...window.steps).contains(window.hopSteps) else {
            throw FieldError("window.hop_steps", "is \(window.hopSteps), not 1 to \(window.steps)")
        }
        let sizes = [
            ("tag_count", projection.tagCount), ("hidden_size", projection.hiddenSize),
            ("joint_size", projection.jointSize), ("embedding_size", projection.embeddingSize),
        ]
        for (key, size) in sizes where !(1...65536).contains(size) {
            throw FieldError("projection.\(key)", "is \(size), not 1 to 65536")
        }
        for (key, weight) in [("tag_weight", projection.tagWeight), ("joint_weight", projection.jointWeight)]
        where !(weight.isFinite && weight >= 0) {
            throw FieldError("projection.\(key)", "is \(weight), not a number of at least 0")
        }
        if let retrieval = projection.retrieval {
            guard retrieval.temperature.isFinite, retrieval.temperature > 0 else {
                throw FieldError("projection.retrieval.temperature", "is \(retrieval.temperature), not above 0")
            }
            guard retrieval.weight.isFinite, retrieval.weight >= 0 else {
                throw FieldError(
                    "projection.retrieval.weight", "is \(retrieval.weight), not a number of at least 0")
            }
            guard projection.jointWeight > 0 else {
                throw FieldError("projection.joint_weight", "is 0, but texts recall sounds by their joint vectors")
            }
        }
        guard prompts.template.contains("{label}") else {
            throw FieldError("prompts.template", "has no {label} in it")
        }
        guard (1...65536).contains(text.embeddingSize), (1...65536).contains(text.maximumTokens) else {
            throw FieldError("text", "has an embedding_size or maximum_tokens that is not 1 to 65536")
        }
    }
}

/// Named numbers of a section whose meaning belongs to another target. Entries that are not numbers are skipped.
package struct ModelConstants: Codable, Sendable, Equatable {
    package var values: [String: Double]

    package init(_ values: [String: Double]) { self.values = values }

    package subscript(name: String) -> Double? { values[name] }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Name.self)
        values = [:]
        for key in container.allKeys {
            values[key.stringValue] = try? container.decode(Double.self, forKey: key)
        }
    }

    package func encode(to encoder: any Encoder) throws {
        try values.encode(to: encoder)
    }

    private struct Name: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}
