package import TensorKernels

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Constants of ``OnlineTransport``.
package struct OnlineTransportConfiguration: Equatable, Sendable {
    /// Recent windows kept as rows, ≥ 1.
    package var windowCapacity = 16
    /// ε > 0, in units of the cost.
    package var regularization: Float = 0.05
    /// λ, the cost of matching a window with nothing, finite.
    package var nothingPrice: Float = 0
    /// ρ ≥ 0: how strongly the labels' masses are held to their marginal. 0 leaves a softmax per window, infinity holds
    /// them exactly.
    package var labelRelaxation: Float = 0.05
    /// Share of all mass that the label marginal sums to, in 0...1 (exclusive); the rest is expected to match nothing.
    package var matchedShare: Float = 0.5
    /// Share of the row mass that the bank keeps when the ring is full, in 0..<1; each recent window has
    /// (1 - bankShare) / windowCapacity. Without a bank the windows have all. A lasting sound fills the ring with its own
    /// label, and the more the ring weighs, the more it lowers that label's potential.
    package var bankShare: Float = 0.99
    /// Updates of all potentials per step, ≥ 0.
    package var iterationsPerStep = 2

    package init() {}
}

/// Transport of a live stream: the recent windows and a bank of reference windows against labels and nothing.
///
/// Rows are B bank windows and the latest R windows of the stream (a ring), with masses a that sum to 1; columns are L labels
/// and nothing at price λ. With label weights b (Σb = 1), w_j = L b_j and β_j = matchedShare · b_j the plan minimises
///
///     ⟨P, C⟩ + λ Σ_i r_i + ε KL((P, r), a ⊗ (w, 1)) + ρ KL(Pᵀ1, β)    subject to P1 + r = a
///
/// so P(i, j) = a_i w_j exp((f_i + g_j - C(i, j))/ε) and r_i = a_i exp((f_i - λ)/ε). A window's share of a label is
/// P(i, j)/a_i: with ρ = 0 the softmax of (-C(i, j)/ε + ln w_j, -λ/ε), and with ρ > 0 that of costs lowered by g_j, which is
/// negative for a label that attracts more mass than its marginal (a hub) and positive for one that attracts less.
///
/// The potentials g move little from step to step, so each step makes a few warm-started updates; many steps on the
/// same windows converge to ``solution(_:windowCosts:bankCost:labelWeights:)``. Per step the kernel exp((g⁰_j - C)/ε) of old rows is
/// reused, with g⁰ absorbed anew only when g has moved away from it by more than 8 ε (Schmitzer 2019, arXiv 1610.06519).
package struct OnlineTransport: Sendable {
    package let configuration: OnlineTransportConfiguration
    package private(set) var labelCount: Int
    /// B.
    package private(set) var bankCount: Int
    /// Windows in the ring.
    package private(set) var windowCount = 0
    private var nextSlot = 0
    private var layout: OnlineTransportLayout
    private var storage: [Float]
    /// g/ε solved on the bank alone, where each stream starts.
    private var initialPotentials: [Float]

    /// - Parameters:
    ///   - bankCost: [B x L], finite; B may be 0.
    ///   - labelWeights: b, [L], finite and not negative, with a positive sum of any size; see ``labelMarginal(_:uniformShare:)``. Uniform if nil.
    package init(
        configuration: OnlineTransportConfiguration, bankCost: Matrix, labelWeights: [Float]? = nil
    ) throws {
        precondition(configuration.windowCapacity >= 1, "no room for windows")
        precondition(configuration.regularization > 0, "regularization is not positive")
        precondition(configuration.nothingPrice.isFinite, "the price of nothing is not finite")
        precondition(configuration.labelRelaxation >= 0, "labelRelaxation is negative")
        precondition(configuration.matchedShare > 0 && configuration.matchedShare < 1, "matchedShare is not in 0...1")
        precondition(configuration.bankShare >= 0 && configuration.bankShare < 1, "bankShare is not in 0..<1")
        precondition(configuration.iterationsPerStep >= 0, "iterationsPerStep is negative")
        self.configuration = configuration
        labelCount = 0
        bankCount = 0
        layout = OnlineTransportLayout(labelCount: 0, bankCount: 0, windowCapacity: 0)
        storage = []
        initialPotentials = []
        try replaceLabels(bankCost: bankCost, labelWeights: labelWeights)
    }

    /// Takes a new set of labels and starts the stream anew; allocates. On an error the old labels stay.
    ///
    /// - Parameters:
    ///   - bankCost: [B x L] of the new labels.
    package mutating func replaceLabels(bankCost: Matrix, labelWeights: [Float]? = nil) throws {
        precondition(bankCost.columnCount > 0, "no labels")
        let configuration = configuration
        let (bankCount, labelCount) = (bankCost.rowCount, bankCost.columnCount)
        if let index = bankCost.values.firstIndex(where: { !($0 / configuration.regularization).isFinite }) {
            throw TransportError(
                "bank cost at row \(index / labelCount), label \(index % labelCount) is \(bankCost.values[index]);"
                    + " costs must be finite")
        }
        let marginal = try labelMarginal(
            labelWeights ?? [Float](repeating: 1, count: labelCount), uniformShare: 0)
        precondition(
            marginal.count == labelCount, "\(marginal.count) label weights for \(labelCount) labels in the bank's cost")
        self.bankCount = bankCount
        self.labelCount = labelCount
        layout = OnlineTransportLayout(
            labelCount: labelCount, bankCount: bankCount, windowCapacity: configuration.windowCapacity)
        storage = [Float](repeating: 0, count: layout.count)
        let layout = layout
        initialPotentials = storage.withUnsafeMutableBufferPointer { storage in
            let base = storage.baseAddress!
            layout.setLabels(base, marginal: marginal, matchedShare: configuration.matchedShare)
            bankCost.values.withUnsafeBufferPointer { costs in
                for row in 0..<bankCount {
                    layout.setRow(base, row, cost: costs.baseAddress! + row * labelCount, configuration)
                }
            }
            return layout.solveBank(base, configuration)
        }
        reset()
    }

    /// Forgets the windows; the potentials go back to those of the bank.
    package mutating func reset() {
        windowCount = 0
        nextSlot = 0
        let layout = layout
        let bankCount = bankCount
        initialPotentials.withUnsafeBufferPointer { initial in
            storage.withUnsafeMutableBufferPointer { storage in
                let base = storage.baseAddress!
                for label in 0..<initial.count { base[layout.potential + label] = initial[label] }
                layout.absorb(base, activeRows: bankCount)
            }
        }
    }

    /// g, [L], in units of the cost; negative for a label that attracts more than its marginal.
    package var labelPotentials: [Float] {
        (0..<labelCount).map { storage[layout.potential + $0] * configuration.regularization }
    }

    /// Takes the newest window and gives its shares; does not allocate.
    ///
    /// A window whose cost holds a NaN or an infinity goes wholly to nothing and is not kept.
    ///
    /// - Parameters:
    ///   - cost: [L], of the newest window.
    ///   - shares: [L], written; each in 0...1. With the result they sum to 1.
    /// - Returns: the share that goes to nothing.
    package mutating func step(_ cost: UnsafePointer<Float>, into shares: UnsafeMutablePointer<Float>) -> Float {
        let (layout, configuration) = (layout, configuration)
        guard (0..<labelCount).allSatisfy({ (cost[$0] / configuration.regularization).isFinite }) else {
            for label in 0..<labelCount { shares[label] = 0 }
            return 1
        }
        let row = bankCount + nextSlot
        nextSlot = (nextSlot + 1) % configuration.windowCapacity
        windowCount = min(windowCount + 1, configuration.windowCapacity)
        let windowCount = windowCount
        return storage.withUnsafeMutableBufferPointer { storage in
            let base = storage.baseAddress!
            layout.setRow(base, row, cost: cost, configuration)
            layout.refreshKernel(base, row)
            layout.setMasses(base, windowCount: windowCount, bankShare: configuration.bankShare)
            if configuration.labelRelaxation > 0 {
                for _ in 0..<configuration.iterationsPerStep {
                    _ = layout.update(base, activeRows: layout.bankCount + windowCount, configuration)
                }
            }
            return layout.shares(base, row, into: shares)
        }
    }
}

/// The label marginal b from prior weights of context metadata (late fusion): normalised, and mixed with the uniform
/// marginal so that no label is ruled out by its context.
///
/// - Parameters:
///   - priors: [L], for instance exp(similarity of the source's description to the label / temperature); finite, ≥ 0.
///   - uniformShare: in 0...1; 1 ignores the priors.
/// - Returns: [L], with sum 1.
package func labelMarginal(_ priors: [Float], uniformShare: Float = 0.2) throws -> [Float] {
    precondition(uniformShare >= 0 && uniformShare <= 1, "uniformShare is not in 0...1")
    if let index = priors.firstIndex(where: { !($0 >= 0 && $0.isFinite) }) {
        throw TransportError("label weight \(index) is \(priors[index]); weights must be finite and at least 0")
    }
    let sum = priors.reduce(0.0) { $0 + Double($1) }
    guard sum > 0 else { throw TransportError("all label weights are 0") }
    return priors.map {
        Float((1 - Double(uniformShare)) * Double($0) / sum + Double(uniformShare) / Double(priors.count))
    }
}
