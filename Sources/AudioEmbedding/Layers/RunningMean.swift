import TensorKernels

/// The mean of the last `window` vectors, without drift and at two additions per number whatever the window.
///
/// Time is cut into blocks of `window` vectors. Within the current block a running sum is kept; of the block before,
/// the sums from each position to its end. Any window is a tail of the block before plus a head of the current one, so
/// nothing is ever subtracted, every sum starts afresh each block, and the result depends on the position alone, not
/// on the chunking.
struct RunningMean {
    private let window: Int
    private let size: Int
    /// [window x size]: the current block's vectors up to `position`, from there on the block before's tail sums.
    private let block: AlignedBuffer
    /// [size], of the current block.
    private let sum: AlignedBuffer
    private var position = 0
    private var seen = 0

    /// - Parameters:
    ///   - window: vectors, ≥ 1.
    ///   - size: numbers of a vector.
    init(window: Int, size: Int) {
        self.window = window
        self.size = size
        block = AlignedBuffer(count: window * size)
        sum = AlignedBuffer(count: size)
    }

    mutating func reset() {
        block.fillWithZeros()
        sum.fillWithZeros()
        position = 0
        seen = 0
    }

    /// Takes a vector in and gives the mean of the last `window`, or of all while there are fewer.
    ///
    /// - Parameters:
    ///   - vector: [size].
    ///   - mean: [size], written; may be `vector` itself.
    mutating func push(_ vector: UnsafePointer<Float>, into mean: UnsafeMutablePointer<Float>) {
        let current = block.pointer + position * size
        current.update(from: vector, count: size)
        add(current, to: sum.pointer, count: size)
        seen = min(seen + 1, window)
        let scale = 1 / Float(seen)
        if position + 1 < window {
            scaledSum(sum.pointer, current + size, scale: scale, into: mean, count: size)
            position += 1
        } else {
            scaled(sum.pointer, scale: scale, into: mean, count: size)
            startBlock()
        }
    }

    /// Turns the full block's vectors into sums from each to the block's end.
    private mutating func startBlock() {
        for index in stride(from: window - 2, through: 0, by: -1) {
            add(block.pointer + (index + 1) * size, to: block.pointer + index * size, count: size)
        }
        sum.fillWithZeros()
        position = 0
    }
}

private func scaledSum(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, scale: Float, into output: UnsafeMutablePointer<Float>,
    count: Int
) {
    for i in 0..<count { output[i] = (a[i] + b[i]) * scale }
}

private func scaled(
    _ a: UnsafePointer<Float>, scale: Float, into output: UnsafeMutablePointer<Float>, count: Int
) {
    for i in 0..<count { output[i] = a[i] * scale }
}
