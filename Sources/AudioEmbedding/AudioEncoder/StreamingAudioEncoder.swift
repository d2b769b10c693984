package import TensorKernels

/// The audio encoder over a stream: each step costs only its own columns, whatever the chunking.
///
/// Equal to ``AudioEncoder/encode(_:)`` over all frames so far, as far as its steps are out. `process` does not
/// allocate. `@unchecked Sendable`: not copyable, so the one owner may move between threads.
package struct StreamingAudioEncoder: ~Copyable, @unchecked Sendable {
    /// Frames that go through the layers at once: enough to fill the kernels, few enough to stay in the cache.
    package static let blockFrames = 32

    package let maximumFrames: Int
    package let melCount: Int
    package let embeddingSize: Int
    /// Frames per step.
    package let stepFrames: Int
    private let lookaheadFrames: Int
    private let layers: [StreamingLayer]
    private let scratch: LayerScratch
    private let block: Int
    private let lastFrequencies: Int
    /// Outputs of the even and of the odd layers of one block.
    private let even: AlignedBuffer
    private let odd: AlignedBuffer

    /// - Parameter maximumFrames: frames per `process` at most, ≥ 1.
    package init(_ encoder: AudioEncoder, maximumFrames: Int) {
        precondition(maximumFrames >= 1, "at most \(maximumFrames) frames per call")
        self.maximumFrames = maximumFrames
        melCount = encoder.melCount
        embeddingSize = encoder.embeddingSize
        stepFrames = encoder.configuration.stepFrames
        lookaheadFrames = encoder.configuration.lookaheadFrames
        block = min(maximumFrames, Self.blockFrames)
        lastFrequencies = encoder.layers.last?.outputFrequencies ?? 1
        var columns = block
        var sizes = (output: 0, columns: 0, vectors: 0, hidden: 0)
        var layers: [StreamingLayer] = []
        for layer in encoder.layers {
            layers.append(StreamingLayer(layer, block: columns))
            sizes.columns = max(sizes.columns, StreamingInvertedResidual.scratchColumns(layer, block: columns))
            columns = (columns - 1) / layer.configuration.timeStride + 1
            sizes.output = max(sizes.output, columns * layer.outputFrequencies * layer.configuration.outputChannels)
            sizes.vectors = max(sizes.vectors, columns * layer.configuration.expandedChannels)
            sizes.hidden = max(sizes.hidden, columns * (layer.configuration.squeezeChannels ?? 0))
        }
        self.layers = layers
        scratch = LayerScratch(columns: sizes.columns, vectors: sizes.vectors, hidden: sizes.hidden)
        even = AlignedBuffer(count: sizes.output)
        odd = AlignedBuffer(count: sizes.output)
    }

    /// Steps that `process` of `frameCount` frames can write at most.
    package func stepCapacity(forFrameCount frameCount: Int) -> Int {
        (frameCount + stepFrames - 1) / stepFrames
    }

    /// - Parameters:
    ///   - frames: [frameCount x melCount].
    ///   - frameCount: 0 to `maximumFrames`.
    ///   - steps: room for `stepCapacity(forFrameCount: frameCount)` rows of [embeddingSize].
    /// - Returns: rows written. Step j is out once frame `stepFrames · j + lookaheadFrames` is in.
    package mutating func process(
        _ frames: UnsafeBufferPointer<Float>, frameCount: Int, into steps: UnsafeMutableBufferPointer<Float>
    ) -> Int {
        precondition((0...maximumFrames).contains(frameCount), "\(frameCount) frames, more than \(maximumFrames)")
        precondition(frames.count >= frameCount * melCount, "\(frames.count) numbers for \(frameCount) frames")
        precondition(
            steps.count >= stepCapacity(forFrameCount: frameCount) * embeddingSize,
            "no room for the steps of \(frameCount) frames")
        guard let source = frames.baseAddress, let destination = steps.baseAddress else { return 0 }
        var consumed = 0
        var written = 0
        while consumed < frameCount {
            let count = min(block, frameCount - consumed)
            written += process(
                source + consumed * melCount, columnCount: count, from: 0, into: destination + written * embeddingSize)
            consumed += count
        }
        return written
    }

    /// The end of a clip: the steps that wait for what they look ahead to, with zeros in its place in every layer, as in a
    /// network that pads whole clips.
    ///
    /// - Parameter steps: room for `stepCapacity(forFrameCount: lookaheadFrames)` rows of [embeddingSize].
    /// - Returns: rows written.
    package mutating func finish(into steps: UnsafeMutableBufferPointer<Float>) -> Int {
        precondition(
            steps.count >= stepCapacity(forFrameCount: lookaheadFrames) * embeddingSize, "no room for the last steps")
        guard let destination = steps.baseAddress else { return 0 }
        var written = 0
        for index in layers.indices {
            for _ in 0..<layers[index].lookahead {
                let columns = layers[index].pad(into: output(of: index), scratch: scratch)
                written += process(
                    output(of: index), columnCount: columns, from: index + 1,
                    into: destination + written * embeddingSize)
            }
        }
        return written
    }

    /// Back to the beginning of a stream.
    ///
    /// - Parameter keepsMeans: the running means of squeeze and excite go on, so that a clip heard for the second time is
    ///   squeezed over all of it from its first step on.
    package mutating func reset(keepsMeans: Bool = false) {
        for layer in layers { layer.reset(keepsMeans: keepsMeans) }
    }

    private func output(of layer: Int) -> UnsafeMutablePointer<Float> { (layer % 2 == 0 ? even : odd).pointer }

    /// Runs columns through layer `first` and those after it.
    ///
    /// - Returns: steps written.
    private func process(
        _ columns: UnsafePointer<Float>, columnCount: Int, from first: Int, into steps: UnsafeMutablePointer<Float>
    ) -> Int {
        var input = columns
        var columns = columnCount
        for index in first..<layers.count {
            if columns == 0 { return 0 }
            columns = layers[index].process(input, columnCount: columns, into: output(of: index), scratch: scratch)
            input = UnsafePointer(output(of: index))
        }
        for column in 0..<columns {
            meanOfRows(
                input + column * lastFrequencies * embeddingSize, into: steps + column * embeddingSize,
                rows: lastFrequencies, columns: embeddingSize)
        }
        return columns
    }
}

extension AudioEncoder {
    /// The steps of a whole clip by the streaming kernels: what ``encode(_:)`` gives, about twenty times faster.
    ///
    /// - Parameter logMel: [frameCount x melCount]; see ``paddedFrames(of:frontEnd:)`` for a clip's last steps.
    /// - Returns: [stepCount x embeddingSize].
    package func steps(of logMel: Matrix) -> Matrix {
        var stream = StreamingAudioEncoder(self, maximumFrames: max(logMel.rowCount, 1))
        return steps(of: logMel, in: &stream, finishes: false)
    }

    /// The steps of a whole clip between zeros in every layer, as a network hears it that pads whole clips, with running
    /// means that know the clip already.
    ///
    /// - Parameters:
    ///   - logMel: [frameCount x melCount], whole steps.
    ///   - meanFrames: how much of its end is heard before, for the running means; whole steps.
    /// - Returns: [frameCount / stepFrames x embeddingSize].
    package func paddedSteps(of logMel: Matrix, meanFrames: Int) -> Matrix {
        var stream = StreamingAudioEncoder(self, maximumFrames: max(logMel.rowCount, 1))
        let end = logMel.values.suffix(meanFrames * melCount)
        _ = steps(
            of: Matrix(rowCount: end.count / melCount, columnCount: melCount, values: Array(end)), in: &stream,
            finishes: true)
        stream.reset(keepsMeans: true)
        return steps(of: logMel, in: &stream, finishes: true)
    }

    private func steps(of logMel: Matrix, in stream: inout StreamingAudioEncoder, finishes: Bool) -> Matrix {
        precondition(logMel.columnCount == melCount, "\(logMel.columnCount) mel bands instead of \(melCount)")
        let ahead = finishes ? configuration.lookaheadFrames : 0
        let capacity = stream.stepCapacity(forFrameCount: logMel.rowCount) + stream.stepCapacity(forFrameCount: ahead)
        var steps = Matrix(rowCount: capacity, columnCount: embeddingSize)
        var written = logMel.values.withUnsafeBufferPointer { frames in
            steps.values.withUnsafeMutableBufferPointer { steps in
                stream.process(frames, frameCount: logMel.rowCount, into: steps)
            }
        }
        if finishes {
            written += steps.values.withUnsafeMutableBufferPointer { steps in
                stream.finish(into: UnsafeMutableBufferPointer(rebasing: steps[(written * embeddingSize)...]))
            }
        }
        return Matrix(
            rowCount: written, columnCount: embeddingSize, values: Array(steps.values.prefix(written * embeddingSize)))
    }
}
