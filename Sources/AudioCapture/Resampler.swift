import CSoxr

/// Streaming sample-rate conversion of mono floats by libsoxr at its "high quality" setting (20 bits, linear phase).
///
/// The signal is not shifted: output sample 0 stands for the same moment as input sample 0. A stretch of `n` input
/// samples ends, after ``finish(total:into:)``, with exactly as many output samples as its caller says the clock needs.
struct Resampler: ~Copyable {
    let inputRate: Int
    let outputRate: Int
    /// Output samples given out since the beginning of the current stretch.
    private(set) var producedCount = 0
    /// Whether input arrived since the beginning of the current stretch.
    private(set) var isActive = false

    private let handle: OpaquePointer

    /// - Parameters: Rates in Hz, both positive.
    init(inputRate: Int, outputRate: Int) throws {
        precondition(inputRate > 0 && outputRate > 0)
        var failure: soxr_error_t?
        var quality = soxr_quality_spec(UInt(SOXR_20_BITQ), 0)
        // One thread: the caller's.
        var runtime = soxr_runtime_spec(1)
        guard let handle = soxr_create(Double(inputRate), Double(outputRate), 1, &failure, nil, &quality, &runtime)
        else {
            let reason = failure.map { String(cString: $0) } ?? "out of memory"
            throw AudioCaptureError(.device, "cannot resample from \(inputRate) to \(outputRate) Hz: \(reason)")
        }
        self.handle = handle
        self.inputRate = inputRate
        self.outputRate = outputRate
    }

    deinit { soxr_delete(handle) }

    /// Output samples that are still inside, for the input given so far.
    var delay: Double { soxr_delay(handle) }

    /// Converts what it can.
    /// - Returns: How many samples of `input` were used and how many of `output` were written.
    mutating func process(
        _ input: UnsafeBufferPointer<Float>, into output: UnsafeMutableBufferPointer<Float>
    ) throws -> (consumed: Int, produced: Int) {
        var consumed = 0
        var produced = 0
        let failure = soxr_process(
            handle, input.baseAddress, input.count, &consumed, output.baseAddress, output.count, &produced)
        try check(failure)
        isActive = isActive || consumed > 0
        producedCount += produced
        return (consumed, produced)
    }

    /// Gives out the end of the stretch, until it has `total` output samples; call until it returns 0, then
    /// ``restart()``. What libsoxr has too few is filled with zeros (a sample or two, from rounding), what it has too
    /// many is left out.
    mutating func finish(total: Int, into output: UnsafeMutableBufferPointer<Float>) throws -> Int {
        let wanted = min(output.count, total - producedCount)
        if wanted <= 0 { return 0 }
        var produced = 0
        try check(soxr_process(handle, nil, 0, nil, output.baseAddress, wanted, &produced))
        if produced == 0 {
            output.prefix(wanted).update(repeating: 0)
            produced = wanted
        }
        producedCount += produced
        return produced
    }

    /// Forgets all input: the next sample begins a new stretch.
    mutating func restart() throws {
        producedCount = 0
        isActive = false
        try check(soxr_clear(handle))
    }

    private func check(_ failure: soxr_error_t?) throws {
        if let failure {
            throw AudioCaptureError(.device, "libsoxr failed at work: \(String(cString: failure))")
        }
    }
}

/// Converts a position in samples at one rate to the nearest one at another, without the rounding of floating point.
func convertPosition(_ position: Int, from inputRate: Int, to outputRate: Int) -> Int {
    let (whole, rest) = position.quotientAndRemainder(dividingBy: inputRate)
    return whole * outputRate + (2 * rest * outputRate + inputRate) / (2 * inputRate)
}
