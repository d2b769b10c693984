package import TensorKernels

/// Log-mel frames of a whole clip: the reference that ``StreamingLogMel`` must equal.
package struct LogMel: Sendable {
    package let configuration: LogMelConfiguration

    /// - Throws: ``LogMelConfigurationError`` for settings that cannot be computed.
    package init(_ configuration: LogMelConfiguration) throws {
        try configuration.validate()
        self.configuration = configuration
    }

    /// - Parameter samples: mono at `sampleRate`, full scale ±1; a sample that is not finite counts as 0.
    /// - Returns: [frameCount x melCount]; no rows for less than one window.
    package func frames(of samples: [Float]) -> Matrix {
        let emphasised = preEmphasised(samples)
        let melCount = configuration.melCount
        var frames = Matrix(
            rowCount: configuration.frameCount(forSampleCount: samples.count), columnCount: melCount)
        let transform = makeTransform()
        emphasised.withUnsafeBufferPointer { samples in
            frames.values.withUnsafeMutableBufferPointer { frames in
                guard let source = samples.baseAddress, let destination = frames.baseAddress else { return }
                for index in 0..<frames.count / melCount {
                    transform.frame(
                        source + index * configuration.hopLength, into: destination + index * melCount)
                }
            }
        }
        return frames
    }

    /// The power spectrum of each frame, without pre-emphasis: |librosa.stft(samples, center=False)|².
    ///
    /// - Returns: [frameCount x (1 + fftLength / 2)].
    package func powerSpectra(of samples: [Float]) -> Matrix {
        let binCount = configuration.binCount
        var spectra = Matrix(
            rowCount: configuration.frameCount(forSampleCount: samples.count), columnCount: binCount)
        let transform = makeTransform()
        samples.withUnsafeBufferPointer { samples in
            spectra.values.withUnsafeMutableBufferPointer { spectra in
                guard let source = samples.baseAddress, let destination = spectra.baseAddress else { return }
                for index in 0..<spectra.count / binCount {
                    transform.power(
                        source + index * configuration.hopLength, into: destination + index * binCount)
                }
            }
        }
        return spectra
    }

    /// y[n] = x[n] - `preEmphasis` · x[n-1], with x[-1] = 0 and 0 for what is not finite.
    package func preEmphasised(_ samples: [Float]) -> [Float] {
        var previous: Float = 0
        return samples.map { sample in
            let x = sample.isFinite ? sample : 0
            defer { previous = x }
            return x - configuration.preEmphasis * previous
        }
    }

    private func makeTransform() -> FrameTransform {
        do {
            return try FrameTransform(configuration)
        } catch {
            preconditionFailure("validated in init: \(error)")
        }
    }
}
