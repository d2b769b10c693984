internal import TensorKernels

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Where ``OnlineTransport`` keeps its numbers, in one allocation, and the kernels over them.
///
/// Columns are padded to a multiple of eight: labels, then nothing, then padding whose logits are -∞. Rows are the bank
/// and then the ring. Logits are -C/ε + ln w (nothing: -λ/ε). With g⁰ the absorbed potentials (over ε) and v = exp(g/ε - g⁰)
/// the shares of row i are kernel(i, j) v_j / Σ_j kernel(i, j) v_j, where kernel(i, j) = exp(logit(i, j) + g⁰_j - largest of the row).
struct OnlineTransportLayout: Sendable {
    let labelCount: Int
    let bankCount: Int
    let windowCapacity: Int
    /// Padded columns.
    let stride: Int
    /// Offsets: [rows x stride].
    let logits: Int
    let kernel: Int
    /// [rows].
    let mass: Int
    /// [stride] each; `weight` is ln w, `goal` ln β, `scale` v.
    let weight: Int
    let goal: Int
    let absorbed: Int
    let potential: Int
    let scale: Int
    let sums: Int
    /// Floats in all.
    let count: Int

    init(labelCount: Int, bankCount: Int, windowCapacity: Int) {
        self.labelCount = labelCount
        self.bankCount = bankCount
        self.windowCapacity = windowCapacity
        let rows = bankCount + windowCapacity
        let stride = (labelCount + 1 + 7) & ~7
        self.stride = stride
        logits = 0
        kernel = rows * stride
        mass = 2 * rows * stride
        weight = mass + ((rows + 7) & ~7)
        goal = weight + stride
        absorbed = goal + stride
        potential = absorbed + stride
        scale = potential + stride
        sums = scale + stride
        count = sums + stride
    }

    /// - Parameter marginal: b, [labelCount], sum 1.
    func setLabels(_ base: UnsafeMutablePointer<Float>, marginal: [Float], matchedShare: Float) {
        for column in 0..<stride {
            let weighs = column < labelCount && marginal[column] > 0
            base[weight + column] = weighs ? logf(marginal[column] * Float(labelCount)) : -.infinity
            base[goal + column] = weighs ? logf(marginal[column] * matchedShare) : -.infinity
            base[scale + column] = 1
        }
    }

    /// Writes the logits of one row.
    ///
    /// - Parameter cost: [labelCount], finite.
    func setRow(
        _ base: UnsafeMutablePointer<Float>, _ row: Int, cost: UnsafePointer<Float>,
        _ configuration: OnlineTransportConfiguration
    ) {
        let out = base + logits + row * stride
        let inverse = 1 / configuration.regularization
        for label in 0..<labelCount { out[label] = base[weight + label] - cost[label] * inverse }
        out[labelCount] = -configuration.nothingPrice * inverse
        for column in labelCount + 1..<stride { out[column] = -.infinity }
    }

    /// Row masses: the same for each window from the first on, so that a stream does not start with a jolt; the bank has
    /// what is left. Without a bank evenly over the windows.
    func setMasses(_ base: UnsafeMutablePointer<Float>, windowCount: Int, bankShare: Float) {
        let window = OnlineTransportLayout.windowMass(
            windowCount: windowCount, windowCapacity: windowCapacity, bankCount: bankCount, bankShare: bankShare)
        for row in 0..<bankCount { base[mass + row] = (1 - Float(windowCount) * window) / Float(bankCount) }
        for row in 0..<windowCount { base[mass + bankCount + row] = window }
    }

    static func windowMass(windowCount: Int, windowCapacity: Int, bankCount: Int, bankShare: Float) -> Float {
        bankCount == 0 ? 1 / Float(windowCount) : (1 - bankShare) / Float(windowCapacity)
    }

    /// kernel(row, ·) from its logits and g⁰.
    func refreshKernel(_ base: UnsafeMutablePointer<Float>, _ row: Int) {
        let input = UnsafeRawPointer(base + logits + row * stride)
        let output = UnsafeMutableRawPointer(base + kernel + row * stride)
        let shift = UnsafeRawPointer(base + absorbed)
        let width = MemoryLayout<Float>.stride
        var largest = SIMD8<Float>(repeating: -.infinity)
        for column in Swift.stride(from: 0, to: stride * width, by: 8 * width) {
            let x =
                input.loadUnaligned(fromByteOffset: column, as: SIMD8<Float>.self)
                + shift.loadUnaligned(fromByteOffset: column, as: SIMD8<Float>.self)
            largest.replace(with: x, where: x .> largest)
            output.storeBytes(of: x, toByteOffset: column, as: SIMD8<Float>.self)
        }
        let offset = SIMD8<Float>(repeating: largest.max())
        for column in Swift.stride(from: 0, to: stride * width, by: 8 * width) {
            let x = output.loadUnaligned(fromByteOffset: column, as: SIMD8<Float>.self)
            output.storeBytes(of: exponential(x - offset), toByteOffset: column, as: SIMD8<Float>.self)
        }
    }

    /// Moves the potentials into the kernels of the first `activeRows` rows, so that all scales are 1.
    func absorb(_ base: UnsafeMutablePointer<Float>, activeRows: Int) {
        for column in 0..<stride {
            base[absorbed + column] = base[potential + column]
            base[scale + column] = 1
        }
        for row in 0..<activeRows { refreshKernel(base, row) }
    }

    /// One update of f (exactly) and then of g, over the first `activeRows` rows.
    ///
    /// - Returns: the largest change of g/ε.
    func update(
        _ base: UnsafeMutablePointer<Float>, activeRows: Int, _ configuration: OnlineTransportConfiguration
    ) -> Float {
        accumulate(base, activeRows: activeRows)
        let relaxation = configuration.labelRelaxation
        let damping = relaxation == .infinity ? 1 : relaxation / (relaxation + configuration.regularization)
        var change: Float = 0
        var drift: Float = 0
        for label in 0..<labelCount where base[goal + label] > -.infinity {
            // The floor stands for a label whose kernel underflowed in each row; g rises until it is absorbed.
            let sum = logf(max(base[sums + label], 1e-30)) - base[absorbed + label]
            let next = damping * (base[goal + label] - sum)
            change = max(change, abs(next - base[potential + label]))
            drift = max(drift, abs(next - base[absorbed + label]))
            base[potential + label] = next
        }
        // Beyond exp(8) the scales would begin to cost digits, and then range.
        if drift > 8 {
            absorb(base, activeRows: activeRows)
        } else {
            for label in 0..<labelCount {
                base[scale + label] = exponential(base[potential + label] - base[absorbed + label])
            }
        }
        return change
    }

    /// sums_j = Σ_i a_i kernel(i, j) / Σ_k kernel(i, k) v_k; one pass, each row is read twice while in the cache.
    private func accumulate(_ base: UnsafeMutablePointer<Float>, activeRows: Int) {
        let width = MemoryLayout<Float>.stride
        let totals = UnsafeMutableRawPointer(base + sums)
        let scales = UnsafeRawPointer(base + scale)
        for column in 0..<stride { base[sums + column] = 0 }
        for row in 0..<activeRows {
            let values = UnsafeRawPointer(base + kernel + row * stride)
            var dot = SIMD8<Float>(repeating: 0)
            for column in Swift.stride(from: 0, to: stride * width, by: 8 * width) {
                dot +=
                    values.loadUnaligned(fromByteOffset: column, as: SIMD8<Float>.self)
                    * scales.loadUnaligned(fromByteOffset: column, as: SIMD8<Float>.self)
            }
            let factor = SIMD8<Float>(repeating: base[mass + row] / dot.sum())
            for column in Swift.stride(from: 0, to: stride * width, by: 8 * width) {
                let sum =
                    totals.loadUnaligned(fromByteOffset: column, as: SIMD8<Float>.self)
                    + factor * values.loadUnaligned(fromByteOffset: column, as: SIMD8<Float>.self)
                totals.storeBytes(of: sum, toByteOffset: column, as: SIMD8<Float>.self)
            }
        }
    }

    /// The shares of one row under the present potentials.
    ///
    /// - Parameter shares: [labelCount].
    /// - Returns: the share of nothing.
    func shares(
        _ base: UnsafeMutablePointer<Float>, _ row: Int, into shares: UnsafeMutablePointer<Float>
    ) -> Float {
        let values = base + kernel + row * stride
        var sum = values[labelCount]
        for label in 0..<labelCount { sum += values[label] * base[scale + label] }
        let inverse = 1 / sum
        for label in 0..<labelCount { shares[label] = values[label] * base[scale + label] * inverse }
        return values[labelCount] * inverse
    }

    /// Solves for the bank alone.
    ///
    /// - Returns: g/ε, [labelCount]; zeros without a bank or without relaxation.
    func solveBank(_ base: UnsafeMutablePointer<Float>, _ configuration: OnlineTransportConfiguration) -> [Float] {
        if bankCount > 0, configuration.labelRelaxation > 0 {
            setMasses(base, windowCount: 0, bankShare: configuration.bankShare)
            absorb(base, activeRows: bankCount)
            var iteration = 0
            while update(base, activeRows: bankCount, configuration) > 1e-4, iteration < 1000 { iteration += 1 }
        }
        return (0..<labelCount).map { base[potential + $0] }
    }
}
