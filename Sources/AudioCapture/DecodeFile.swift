/// A whole file as mono samples at one rate.
package struct DecodedFile: Sendable {
    /// Mono, at the rate asked for; `round(frames * sampleRate / sourceSampleRate)` of them.
    package var samples: [Float]
    /// The file's own rate in Hz; 0 if it could not be opened.
    package var sourceSampleRate: Int
    /// What was wrong with the file. ``samples`` then hold what could be decoded before that.
    package var failure: AudioCaptureError?
    /// Float samples that were not usable (NaN, infinite, wild) and were mended.
    package var repairedSamples: Int
}

/// Decodes a whole file on the calling thread. The samples equal what an ``AudioInput`` of the same file gives, but for
/// rounding in the resampler.
/// - Parameters:
///   - path: Anything that libsndfile reads.
///   - sampleRate: In Hz.
/// - Throws: ``AudioCaptureError`` if the file cannot be opened; damage further on is in ``DecodedFile/failure``.
package func decodeFile(_ path: String, sampleRate: Int, channel: ChannelSelection = .mix) throws -> DecodedFile {
    let file = try SoundFile(path: path)
    try channel.check(channelCount: file.channelCount, source: path)
    var blocks = FileBlocks(file, channel, frameCount: captureBlockFrames)
    var result = DecodedFile(samples: [], sourceSampleRate: file.sampleRate, failure: nil, repairedSamples: 0)
    if file.sampleRate == sampleRate {
        while true {
            var repaired = 0
            let block = blocks.next(repaired: &repaired)
            if block.isEmpty { break }
            result.samples.append(contentsOf: block)
            result.repairedSamples += repaired
        }
    } else {
        try decode(&blocks, from: file.sampleRate, to: sampleRate, into: &result)
    }
    result.failure = file.failureAtEnd()
    return result
}

private func decode(_ blocks: inout FileBlocks, from: Int, to: Int, into result: inout DecodedFile) throws {
    var resampler = try Resampler(inputRate: from, outputRate: to)
    let scratch = UnsafeMutableBufferPointer<Float>.allocate(capacity: captureBlockFrames)
    defer { scratch.deallocate() }
    var frameCount = 0
    while true {
        var repaired = 0
        let block = blocks.next(repaired: &repaired)
        if block.isEmpty { break }
        result.repairedSamples += repaired
        frameCount += block.count
        var rest = block[...]
        // An empty output means that the resampler wants more input; a full one, that it may have more.
        while true {
            let (consumed, produced) = try resampler.process(UnsafeBufferPointer(rebasing: rest), into: scratch)
            result.samples.append(contentsOf: scratch.prefix(produced))
            rest = rest.dropFirst(consumed)
            if rest.isEmpty && produced < scratch.count { break }
        }
    }
    let total = convertPosition(frameCount, from: from, to: to)
    while true {
        let produced = try resampler.finish(total: total, into: scratch)
        if produced == 0 { break }
        result.samples.append(contentsOf: scratch.prefix(produced))
    }
}
