#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

// The one exponential of the numeric core: softmax, Sinkhorn, sigmoid and swish go through it. Cephes' `expf`
// (range reduction by ln 2 in two parts, polynomial of degree 6), branch-free, eight lanes at a time, without a fused
// multiply-add so that the SSE2 baseline needs no library call.

/// exp(x) per lane; largest relative error about 1.2e-7 over the whole range.
///
/// - Results below the smallest normal number are 0 (so no subnormals arise, whatever the thread's control word says).
/// - exp(-∞) = 0, exp(+∞) = +∞, overflow is +∞, NaN stays NaN.
@inlinable
package func exponential(_ x: SIMD8<Float>) -> SIMD8<Float> {
    let lowest = SIMD8<Float>(repeating: -87.33654)  // ln of the smallest normal number
    let highest = SIMD8<Float>(repeating: 89)  // beyond the overflow at 88.7228
    let clamped = x.replacing(with: lowest, where: x .< lowest).replacing(with: highest, where: x .> highest)
    // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits: SIMD conversions are scalar here.
    let magic = SIMD8<Float>(repeating: 12_582_912)
    let shifted = clamped * 1.442_695_04 + magic
    let exponent = unsafeBitCast(shifted, to: SIMD8<Int32>.self) &- unsafeBitCast(magic, to: SIMD8<Int32>.self)
    let n = shifted - magic
    let r = (clamped - n * 0.693_359_375) - n * -2.121_944_4e-4
    var p = r * 1.987_569_15e-4 + 1.398_199_95e-3
    p = p * r + 8.333_451_9e-3
    p = p * r + 4.166_579_6e-2
    p = p * r + 1.666_666_55e-1
    p = p * r + 5.000_000_1e-1
    p = p * (r * r) + r + 1
    // 2^n as a product of two, since 2^128 is not a Float though 0.8 * 2^128 is.
    let half = exponent &>> 1
    let first = unsafeBitCast((half &+ 127) &<< 23, to: SIMD8<Float>.self)
    let second = unsafeBitCast((exponent &- half &+ 127) &<< 23, to: SIMD8<Float>.self)
    let result = p * first * second
    return result.replacing(with: 0, where: x .< lowest).replacing(with: x, where: x .!= x)
}

/// exp(x) of one number, by the same polynomial as the vector form.
@inlinable
package func exponential(_ x: Float) -> Float {
    exponential(SIMD8<Float>(repeating: x))[0]
}

/// output[i] = exp(scale * input[i] + offset).
///
/// - Parameters:
///   - input: [count].
///   - output: [count]; may be `input` itself.
///   - count: ≥ 0.
package func exponential(
    _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, count: Int,
    scale: Float = 1, offset: Float = 0
) {
    let vectorEnd = count & ~7
    let offsets = SIMD8<Float>(repeating: offset)
    var index = 0
    while index < vectorEnd {
        let x = UnsafeRawPointer(input + index).loadUnaligned(as: SIMD8<Float>.self)
        UnsafeMutableRawPointer(output + index).storeBytes(
            of: exponential(x * scale + offsets), as: SIMD8<Float>.self)
        index += 8
    }
    guard index < count else { return }
    let tail = exponential(loadPartial(input + index, count: count - index, padding: 0) * scale + offsets)
    for lane in 0..<(count - index) { output[index + lane] = tail[lane] }
}

/// ln Σ exp(input[i]), without overflow; equals `scipy.special.logsumexp`.
///
/// -∞ for an empty or an all -∞ input, +∞ if any element is, NaN if any element is.
///
/// - Parameters:
///   - input: [count].
///   - count: ≥ 0.
package func logSumExp(_ input: UnsafePointer<Float>, count: Int) -> Float {
    let largest = maximum(input, count: count)
    // Infinite: the shift below would give NaN from ∞ - ∞.
    guard largest.isFinite else { return largest }
    let vectorEnd = count & ~7
    let shift = SIMD8<Float>(repeating: largest)
    var sums = SIMD8<Float>(repeating: 0)
    var index = 0
    while index < vectorEnd {
        sums += exponential(UnsafeRawPointer(input + index).loadUnaligned(as: SIMD8<Float>.self) - shift)
        index += 8
    }
    if index < count {
        sums += exponential(loadPartial(input + index, count: count - index, padding: -.infinity) - shift)
    }
    return largest + log(sums.sum())
}

/// Replaces logits by softmax(scale * logits); equals `scipy.special.softmax`.
///
/// - Parameters:
///   - values: [count], count ≥ 1; at least one element above -∞. Written with numbers that sum to 1.
///   - scale: > 0, the inverse temperature.
package func softmax(_ values: UnsafeMutablePointer<Float>, count: Int, scale: Float = 1) {
    let largest = maximum(values, count: count)
    exponential(values, into: values, count: count, scale: scale, offset: -scale * largest)
    var sum: Float = 0
    for index in 0..<count { sum += values[index] }
    let inverse = 1 / sum
    for index in 0..<count { values[index] *= inverse }
}

/// The largest element; -∞ of none, NaN if any element is NaN.
///
/// - Parameter input: [count].
package func maximum(_ input: UnsafePointer<Float>, count: Int) -> Float {
    let vectorEnd = count & ~7
    var best = SIMD8<Float>(repeating: -.infinity)
    var index = 0
    while index < vectorEnd {
        let x = UnsafeRawPointer(input + index).loadUnaligned(as: SIMD8<Float>.self)
        // Negated so that a NaN in x enters; a NaN in best stays, because no comparison with it is true either.
        best.replace(with: x, where: .!(x .<= best) .& (best .== best))
        index += 8
    }
    var result = -Float.infinity
    for lane in 0..<8 where !(best[lane] <= result) && result == result { result = best[lane] }
    while index < count {
        if !(input[index] <= result) && result == result { result = input[index] }
        index += 1
    }
    return result
}

/// Loads fewer than eight elements; the other lanes hold `padding`.
@inline(__always)
func loadPartial(_ input: UnsafePointer<Float>, count: Int, padding: Float) -> SIMD8<Float> {
    var x = SIMD8<Float>(repeating: padding)
    for lane in 0..<count { x[lane] = input[lane] }
    return x
}
