import TensorKernels

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

func benchmarkElementwise() {
    print("\nelementwise, 4096 numbers")
    let count = 4096
    let x = AlignedBuffer((1...count).map { Float($0) * 0.37 })
    let y = AlignedBuffer(count: count)
    report(
        "  logarithm", fast: medianTime { naturalLogarithm(x.pointer, into: y.pointer, count: count) },
        naive: medianTime { naiveLogarithm(x.pointer, y.pointer, count) })
    report(
        "  bias + hardswish",
        fast: medianTime {
            addBias(x.pointer, to: x.pointer, into: y.pointer, rows: 1, columns: count, activation: .hardswish)
        },
        naive: medianTime { naiveHardswish(x.pointer, y.pointer, count) })
}

private func naiveLogarithm(_ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, _ count: Int) {
    for i in 0..<count { y[i] = logf(x[i]) }
}

private func naiveHardswish(_ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, _ count: Int) {
    for i in 0..<count { y[i] = Activation.hardswish(x[i] + x[i]) }
}
