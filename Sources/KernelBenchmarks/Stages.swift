import AudioEmbedding
import AudioFeatures
import TensorKernels

/// The stages of a model, as cost for a second of audio.
func benchmarkStages(_ model: ModelDirectory) throws {
    let frontEnd = model.configuration.frontEnd
    print("\nstages of \(model.configuration.name), per second of audio")
    let rate = frontEnd.sampleRate
    let seconds = 10
    var generator = SystemRandomNumberGenerator()
    let samples = (0..<seconds * rate).map { _ in Float.random(in: -0.3...0.3, using: &generator) }
    let logMel = try timeLogMel(frontEnd, samples, seconds: seconds)
    let encoder = try AudioEncoder(model)
    let frames = logMel.frames
    let naive = ThreadClock().measure { _ = encoder.encode(frames) } / seconds
    var encoderTime = Duration.zero
    for chunk in [1, 8, 16, 32, 100] {
        let time = timeEncoder(encoder, frames, chunk: chunk) / seconds
        reportStage("  encoder, \(chunk) frames per call", perAudioSecond: time, naive: naive)
        if chunk == 16 { encoderTime = time }
    }
    let projection = try timeProjection(model)
    let windows = Double(rate) / Double(frontEnd.hopLength * encoder.configuration.stepFrames)
    report("  projection, one window", fast: projection)
    let projectionTime = projection * windows
    reportStage("  projection of every step", perAudioSecond: projectionTime)
    reportStage("  all together", perAudioSecond: logMel.time + encoderTime + projectionTime)
}

private func timeLogMel(
    _ frontEnd: LogMelConfiguration, _ samples: [Float], seconds: Int
) throws -> (time: Duration, frames: Matrix) {
    var stream = try StreamingLogMel(frontEnd)
    var frames = [Float](
        repeating: 0, count: stream.frameCapacity(forSampleCount: samples.count + 5000) * frontEnd.melCount)
    for chunk in [frontEnd.hopLength, 16 * frontEnd.hopLength] {
        stream.reset()
        let time = medianTime(repeats: 5) {
            samples.withUnsafeBufferPointer { samples in
                frames.withUnsafeMutableBufferPointer { frames in
                    for begin in Swift.stride(from: 0, to: samples.count, by: chunk) {
                        let part = samples[begin..<min(begin + chunk, samples.count)]
                        _ = stream.process(UnsafeBufferPointer(rebasing: part), into: frames)
                    }
                }
            }
        }
        reportStage("  log-mel, \(chunk) samples per call", perAudioSecond: time / seconds)
        if chunk > frontEnd.hopLength { return (time / seconds, try LogMel(frontEnd).frames(of: samples)) }
    }
    preconditionFailure("the last chunk returns")
}

private func timeEncoder(_ encoder: AudioEncoder, _ frames: Matrix, chunk: Int) -> Duration {
    var stream = StreamingAudioEncoder(encoder, maximumFrames: chunk)
    var steps = [Float](repeating: 0, count: stream.stepCapacity(forFrameCount: chunk) * encoder.embeddingSize)
    return medianTime(repeats: 5) {
        frames.values.withUnsafeBufferPointer { values in
            steps.withUnsafeMutableBufferPointer { steps in
                for begin in Swift.stride(from: 0, to: frames.rowCount, by: chunk) {
                    let count = min(chunk, frames.rowCount - begin)
                    let part = values[begin * frames.columnCount..<(begin + count) * frames.columnCount]
                    _ = stream.process(UnsafeBufferPointer(rebasing: part), frameCount: count, into: steps)
                }
            }
        }
    }
}

private func timeProjection(_ model: ModelDirectory) throws -> Duration {
    var projection = try AudioProjection(model)
    let pooled = numbers(projection.pooledSize)
    let embedding = AlignedBuffer(count: projection.embeddingSize)
    return medianTime {
        projection.project(
            UnsafeBufferPointer(start: pooled.pointer, count: pooled.count),
            into: UnsafeMutableBufferPointer(start: embedding.pointer, count: embedding.count))
    }
}
