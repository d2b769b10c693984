package import TensorKernels

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Triangles equally spaced on Kaldi's mel scale, linear in mel, with peak 1 (no area normalisation).
///
/// Equal to Kaldi's `MelBanks` and to `transformers.audio_utils.mel_filter_bank(mel_scale="kaldi",
/// triangularize_in_mel_space=True)`; the Nyquist bin has no weight. Neighbouring triangles overlap by half, so each
/// bin touches at most two: kept as one index and two weights per bin.
package struct MelBank: Sendable {
    package let melCount: Int
    /// Bins of the spectrum, `1 + fftLength / 2`.
    package let binCount: Int
    /// First bin with weight.
    let firstBin: Int
    /// For each bin from `firstBin`: the number of the triangle it falls off from, plus one (0 is none).
    let indices: [Int32]
    /// For each bin from `firstBin`: weight in the triangle that falls there, then in the one that rises there.
    let weights: [SIMD2<Float>]

    /// - Parameter configuration: validated.
    package init(_ configuration: LogMelConfiguration) {
        melCount = configuration.melCount
        binCount = configuration.binCount
        let low = Self.mel(Double(configuration.minimumFrequency))
        let high = Self.mel(Double(configuration.maximumFrequency))
        let spacing = (high - low) / Double(melCount + 1)
        let binWidth = Double(configuration.sampleRate) / Double(configuration.fftLength)
        var first = 0
        var indices: [Int32] = []
        var weights: [SIMD2<Float>] = []
        // The last bin (Nyquist) is left out, as in Kaldi.
        for bin in 0..<binCount - 1 {
            let position = (Self.mel(Double(bin) * binWidth) - low) / spacing
            guard position > 0, position < Double(melCount + 1) else { continue }
            if indices.isEmpty { first = bin }
            let index = Int(position)
            let rising = position - Double(index)
            indices.append(Int32(index))
            weights.append([index > 0 ? Float(1 - rising) : 0, index < melCount ? Float(rising) : 0])
        }
        firstBin = first
        self.indices = indices
        self.weights = weights
    }

    /// Hz to mel on Kaldi's scale: 1127 ln(1 + f / 700).
    package static func mel(_ frequency: Double) -> Double { 1127 * log(1 + frequency / 700) }

    /// The dense bank, [binCount x melCount]: the definition that ``apply(_:into:)`` is tested against.
    package var matrix: Matrix {
        var matrix = Matrix(rowCount: binCount, columnCount: melCount)
        for (offset, index) in indices.enumerated() {
            if index > 0 { matrix[firstBin + offset, Int(index) - 1] = weights[offset].x }
            if index < melCount { matrix[firstBin + offset, Int(index)] = weights[offset].y }
        }
        return matrix
    }

    /// Mel powers of one spectrum.
    ///
    /// - Parameters:
    ///   - power: [binCount].
    ///   - mel: [melCount + 2]; written: band m is at m + 1, the ends are scratch.
    func apply(_ power: UnsafePointer<Float>, into mel: UnsafeMutablePointer<Float>) {
        mel.update(repeating: 0, count: melCount + 2)
        let bins = power + firstBin
        indices.withUnsafeBufferPointer { indices in
            weights.withUnsafeBufferPointer { weights in
                scatter(bins, indices, weights, into: mel)
            }
        }
    }
}

/// Adds each bin to its two triangles. Sums of a run of bins with the same index stay in registers.
private func scatter(
    _ bins: UnsafePointer<Float>, _ indices: UnsafeBufferPointer<Int32>, _ weights: UnsafeBufferPointer<SIMD2<Float>>,
    into mel: UnsafeMutablePointer<Float>
) {
    var current = 0
    var sums = SIMD2<Float>()
    for offset in 0..<indices.count {
        let index = Int(indices[offset])
        if index != current {
            mel[current] += sums.x
            mel[current + 1] += sums.y
            sums = SIMD2()
            current = index
        }
        sums += weights[offset] * bins[offset]
    }
    mel[current] += sums.x
    mel[current + 1] += sums.y
}
