/// Natural logarithms: `output[i] = ln(input[i])`, within 1e-7 + 2e-7 · |ln| of libm.
///
/// Branch-free scalar code in a plain loop, which the compiler turns into vector code (explicit lanes came out slower:
/// the compiler took some of them apart). For zero, subnormal, negative or non-finite input the result is some finite
/// number, never a trap.
///
/// - Parameters:
///   - input: `count` numbers, normal and positive.
///   - output: `count` numbers; may be `input` itself.
/// - seealso: `logf` of Cephes (Moshier), whose polynomial this is.
package func naturalLogarithm(_ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, count: Int) {
    for i in 0..<count { output[i] = naturalLogarithm(input[i]) }
}

@inline(__always)
private func naturalLogarithm(_ x: Float) -> Float {
    // x = m · 2^e with m in [sqrt(1/2), sqrt(2)).
    let bits = Int32(bitPattern: x.bitPattern)
    let exponent = (bits &- 0x3F35_04F3) &>> 23
    let m = Float(bitPattern: UInt32(bitPattern: bits &- (exponent &<< 23)))
    let e = Float(exponent)
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
