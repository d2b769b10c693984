/// Natural logarithms: `output[i] = ln(input[i])`, within 1e-7 + 1e-7 · |ln| of libm.
///
/// Branch-free on four lanes; about ten times faster than a libm call per element. For zero, subnormal, negative or
/// non-finite input the result is some finite number, never a trap.
///
/// - Parameters:
///   - input: `count` numbers, normal and positive.
///   - output: `count` numbers; may be `input` itself.
/// - seealso: `logf` of Cephes (Moshier), whose polynomial this is.
package func naturalLogarithm(_ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, count: Int) {
    // Four lanes, the baseline's register width: of eight, the compiler takes some apart again.
    let whole = count & ~3
    var i = 0
    let source = UnsafeRawPointer(input)
    let destination = UnsafeMutableRawPointer(output)
    while i < whole {
        let x = source.loadUnaligned(fromByteOffset: 4 * i, as: SIMD4<Float>.self)
        destination.storeBytes(of: naturalLogarithm(x), toByteOffset: 4 * i, as: SIMD4<Float>.self)
        i += 4
    }
    guard i < count else { return }
    var tail = SIMD4<Float>(repeating: 1)
    for lane in 0..<count - i { tail[lane] = input[i + lane] }
    tail = naturalLogarithm(tail)
    for lane in 0..<count - i { output[i + lane] = tail[lane] }
}

@inline(__always)
private func naturalLogarithm(_ x: SIMD4<Float>) -> SIMD4<Float> {
    // x = m · 2^e with m in [sqrt(1/2), sqrt(2)).
    let bits = unsafeBitCast(x, to: SIMD4<Int32>.self)
    let exponent = (bits &- 0x3F35_04F3) &>> 23
    let m = unsafeBitCast(bits &- (exponent &<< 23), to: SIMD4<Float>.self)
    // Integer to float by the mantissa of 1.5 · 2^23: the conversion itself is scalar code on some targets.
    let e = unsafeBitCast(exponent &+ 0x4B40_0000, to: SIMD4<Float>.self) - 12_582_912
    let f = m - 1
    let square = f * f
    var p = f * 7.0376836292e-2 - 1.1514610310e-1
    p = p * f + 1.1676998740e-1
    p = p * f - 1.2420140846e-1
    p = p * f + 1.4249322787e-1
    p = p * f - 1.6668057665e-1
    p = p * f + 2.0000714765e-1
    p = p * f - 2.4999993993e-1
    p = p * f + 3.3333331174e-1
    // ln 2 in two parts, so that e · ln 2 keeps its last bits.
    let low = p * f * square + e * -2.12194440e-4 - square * 0.5
    return f + low + e * 0.693359375
}
