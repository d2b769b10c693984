import TensorKernels

/// Log-mel frames of a stream, as soon as their last sample is there; the same numbers whatever the chunking.
///
/// `process` does not allocate. `@unchecked Sendable`: not copyable, so the one owner may move between threads.
package struct StreamingLogMel: ~Copyable, @unchecked Sendable {
    package let configuration: LogMelConfiguration
    private let transform: FrameTransform
    /// Pre-emphasised samples from the next frame's begin on, at `begin ..< end`.
    private let samples: AlignedBuffer
    private var begin: Int
    private var end: Int
    /// The last raw sample, for the pre-emphasis.
    private var previous: Float

    /// - Throws: ``LogMelConfigurationError`` for settings that cannot be computed.
    package init(_ configuration: LogMelConfiguration) throws {
        let transform = try FrameTransform(configuration)
        self.transform = transform
        self.configuration = configuration
        // Room for many hops, so that the rest is moved to the front only now and then.
        samples = AlignedBuffer(count: configuration.windowLength + max(8 * configuration.hopLength, 4096))
        begin = 0
        end = 0
        previous = 0
    }

    /// Frames that the next `process` of `sampleCount` samples will write.
    package func frameCapacity(forSampleCount sampleCount: Int) -> Int {
        configuration.frameCount(forSampleCount: end - begin + sampleCount)
    }

    /// - Parameters:
    ///   - samples: any number, mono at `sampleRate`, full scale ±1; a sample that is not finite counts as 0.
    ///   - frames: room for `frameCapacity(forSampleCount: samples.count)` rows of [melCount].
    /// - Returns: the number of rows written.
    package mutating func process(
        _ samples: UnsafeBufferPointer<Float>, into frames: UnsafeMutableBufferPointer<Float>
    ) -> Int {
        let melCount = configuration.melCount
        precondition(
            frames.count >= frameCapacity(forSampleCount: samples.count) * melCount,
            "no room for the frames of \(samples.count) samples")
        guard let source = samples.baseAddress else { return 0 }
        var consumed = 0
        var written = 0
        while consumed < samples.count {
            if end == self.samples.count { moveToFront() }
            let count = min(samples.count - consumed, self.samples.count - end)
            previous = preEmphasise(
                source + consumed, after: previous, coefficient: configuration.preEmphasis,
                into: self.samples.pointer + end, count: count)
            consumed += count
            end += count
            while end - begin >= configuration.windowLength {
                // The capacity checked above is not empty here.
                transform.frame(
                    self.samples.pointer + begin, into: frames.baseAddress.unsafelyUnwrapped + written * melCount)
                written += 1
                begin += configuration.hopLength
            }
        }
        return written
    }

    /// Back to the beginning of a stream.
    package mutating func reset() {
        begin = 0
        end = 0
        previous = 0
    }

    /// Less than a window is left between frames, so there is always room for at least a hop afterwards.
    private mutating func moveToFront() {
        samples.pointer.update(from: samples.pointer + begin, count: end - begin)
        end -= begin
        begin = 0
    }
}

/// - Returns: the last raw sample.
private func preEmphasise(
    _ input: UnsafePointer<Float>, after previous: Float, coefficient: Float,
    into output: UnsafeMutablePointer<Float>, count: Int
) -> Float {
    var previous = previous
    for i in 0..<count {
        let x = input[i].isFinite ? input[i] : 0
        output[i] = x - coefficient * previous
        previous = x
    }
    return previous
}
