package import TensorKernels

/// Dual potentials of an entropic transport problem, in units of the cost (POT's `log_u`, `log_v` times `reg`, less the
/// logarithm of the reference measure).
///
/// The plan is P(i, j) = R(i, j) exp((source_i + target_j + mass - C(i, j)) / ε), where the reference R is a ⊗ b, or 1 in
/// the partial problem with fixed mass. With R = a ⊗ b the potentials of rows and columns of weight zero are
/// finite, and are the ones a new row or column there would get; in the partial problem they are -∞.
package struct TransportPotentials: Equatable, Sendable {
    /// f, [n].
    package var source: [Double]
    /// g, [m].
    package var target: [Double]
    /// The multiplier of the fixed mass; 0 in the other problems.
    package var mass: Double

    package init(source: [Double], target: [Double], mass: Double = 0) {
        self.source = source
        self.target = target
        self.mass = mass
    }
}

/// A transport plan and how well it was solved.
package struct TransportPlan: Equatable, Sendable {
    /// γ, [n x m].
    package let plan: Matrix
    package let potentials: TransportPotentials
    /// What the next update of the columns would still move, Σ_j |Δ(Pᵀ1)_j|; with an exact target marginal that is
    /// Σ_j |(Pᵀ1)_j - b_j| (the row marginals have just been met). With fixed mass, |Σ P - mass| is added.
    package let marginalError: Double
    /// Updates of both sides (POT's `niter`, counted from 1).
    package let iterationCount: Int
    /// Whether `marginalError` came below the tolerance within the allowed iterations.
    package let converged: Bool
}

/// A plan in which rows and columns may stay unmatched; see ``Sinkhorn/priced(cost:sourceWeights:targetWeights:price:warmStart:)``.
package struct PricedTransportPlan: Equatable, Sendable {
    /// The matched mass [n x m], with the potentials [n + 1], [m + 1] of the extended problem (the dummy comes last).
    package let matched: TransportPlan
    /// Mass that each row sends to nothing, [n].
    package let unmatchedSource: [Float]
    /// Mass that each column receives from nothing, [m].
    package let unmatchedTarget: [Float]
}

/// A transport problem that cannot be solved as given.
package struct TransportError: Error, Equatable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}
