#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Hann window, equal to `scipy.signal.get_window("hann", length, fftbins: periodic)`.
///
/// - Parameters:
///   - length: samples, ≥ 2.
///   - periodic: true divides the cosine's turn by `length`, false (symmetric) by `length - 1`.
package func hannWindow(length: Int, periodic: Bool) -> [Float] {
    precondition(length >= 2, "a window of \(length) samples")
    let turn = 2 * Double.pi / Double(periodic ? length : length - 1)
    return (0..<length).map { Float(0.5 - 0.5 * cos(turn * Double($0))) }
}
