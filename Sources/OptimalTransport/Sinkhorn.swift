package import TensorKernels

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Entropic optimal transport by Sinkhorn's iterations in the log domain.
///
/// Four problems over plans P ≥ 0 of [n x m], with cost C [n x m], source weights a [n], target weights b [m] and
/// regularization ε:
///
/// | method | minimises | subject to | equals |
/// |---|---|---|---|
/// | `balanced` | ⟨P, C⟩ + ε KL(P, a ⊗ b) | P1 = a, Pᵀ1 = b | `ot.sinkhorn(method="sinkhorn_log")` |
/// | `unbalanced` | … + ρ_a KL(P1, a) + ρ_b KL(Pᵀ1, b) | | `ot.unbalanced.sinkhorn_unbalanced` |
/// | `partial` | ⟨P, C⟩ + ε Σ P ln P | P1 ≤ a, Pᵀ1 ≤ b, ΣP = mass | `ot.partial.entropic_partial_wasserstein` |
/// | `priced` | ⟨P, C⟩ + λ · mass of a left unmatched + ε KL | P1 ≤ a, Pᵀ1 ≤ b | `ot.sinkhorn` with dummies |
///
/// Solved in double precision; plans are `Float`. Every method throws ``TransportError`` where the cost holds a NaN or an
/// infinity, or weights are negative, not finite or all zero; wrong shapes are the caller's mistake. A solve that did not converge returns
/// with `converged` false and its `marginalError`.
package struct Sinkhorn: Sendable {
    /// ε > 0 (POT `reg`), in units of the cost.
    package var regularization: Double
    /// POT `numItermax`.
    package var maximumIterations: Int
    /// POT `stopThr`; see ``TransportPlan/marginalError``.
    package var tolerance: Double

    package init(regularization: Double, maximumIterations: Int = 1000, tolerance: Double = 1e-9) {
        precondition(regularization > 0 && regularization.isFinite, "regularization \(regularization) is not positive")
        precondition(maximumIterations > 0, "no iterations allowed")
        self.regularization = regularization
        self.maximumIterations = maximumIterations
        self.tolerance = tolerance
    }

    /// Balanced transport.
    ///
    /// The weights must have equal sums (to 1e-4 of them); b is scaled so that they are equal to the last digit.
    ///
    /// - Parameters:
    ///   - cost: C, [n x m].
    ///   - sourceWeights: a, [n], or uniform with sum 1; targetWeights b, [m], likewise.
    ///   - warmStart: potentials of a similar problem.
    package func balanced(
        cost: Matrix, sourceWeights: [Float]? = nil, targetWeights: [Float]? = nil,
        warmStart: TransportPotentials? = nil
    ) throws -> TransportPlan {
        try unbalanced(
            cost: cost, sourceWeights: sourceWeights, targetWeights: targetWeights, sourceRelaxation: .infinity,
            targetRelaxation: .infinity, warmStart: warmStart)
    }

    /// Unbalanced transport: marginals relaxed by the Kullback-Leibler divergence.
    ///
    /// - Parameters:
    ///   - sourceRelaxation: ρ_a ≥ 0 (POT `reg_m`); infinite for an exact marginal, 0 for a free one.
    ///   - targetRelaxation: ρ_b likewise. One infinite and one finite is the semi-relaxed problem.
    package func unbalanced(
        cost: Matrix, sourceWeights: [Float]? = nil, targetWeights: [Float]? = nil,
        sourceRelaxation: Double, targetRelaxation: Double, warmStart: TransportPotentials? = nil
    ) throws -> TransportPlan {
        precondition(sourceRelaxation >= 0 && targetRelaxation >= 0, "a relaxation is negative or not a number")
        try check(cost)
        let a = try weights(sourceWeights, count: cost.rowCount, name: "source")
        var b = try weights(targetWeights, count: cost.columnCount, name: "target")
        if sourceRelaxation == .infinity && targetRelaxation == .infinity {
            let (sourceSum, targetSum) = (a.reduce(0, +), b.reduce(0, +))
            guard abs(sourceSum - targetSum) <= 1e-4 * max(sourceSum, targetSum) else {
                throw TransportError(
                    "source weights sum to \(sourceSum), target weights to \(targetSum);"
                        + " balanced transport needs equal sums")
            }
            for j in b.indices { b[j] *= sourceSum / targetSum }
        }
        let solver = LogDomainSolver(
            cost: cost, regularization: regularization, rows: side(a, relaxation: sourceRelaxation),
            columns: side(b, relaxation: targetRelaxation))
        return run(solver, warmStart)
    }

    /// Partial transport of a fixed mass (Benamou et al. 2015, proposition 5).
    ///
    /// Dykstra's projections onto the three constraints are here the dual ascent over their three multipliers, which has
    /// the same limit and keeps vectors instead of matrices.
    ///
    /// - Parameter mass: total mass to move, 0 < mass ≤ min(Σa, Σb).
    package func partial(
        cost: Matrix, sourceWeights: [Float]? = nil, targetWeights: [Float]? = nil, mass: Double,
        warmStart: TransportPotentials? = nil
    ) throws -> TransportPlan {
        try check(cost)
        let a = try weights(sourceWeights, count: cost.rowCount, name: "source")
        let b = try weights(targetWeights, count: cost.columnCount, name: "target")
        let largest = min(a.reduce(0, +), b.reduce(0, +))
        guard mass > 0, mass <= largest * (1 + 1e-6) else {
            throw TransportError("mass \(mass) is not above 0 and at most \(largest), the smaller sum of weights")
        }
        let solver = LogDomainSolver(
            cost: cost, regularization: regularization, rows: bound(a), columns: bound(b), mass: min(mass, largest))
        return run(solver, warmStart)
    }

    /// Partial transport at a price of nothing (the Lagrangian form): a unit of row mass is matched or left at price λ.
    ///
    /// Minimises ⟨P, C⟩ + λ Σ_i r_i with r = a - P1 ≥ 0 sent to nothing and b - Pᵀ1 ≥ 0 received from nothing, free of
    /// charge. Solved as balanced transport of the extended problem
    ///
    ///     C' = | C  λ |      a' = (a, Σb),   b' = (b, Σa),   R' = a' ⊗ b'
    ///          | 0  0 |
    ///
    /// so for small ε a pair is worth matching only where C(i, j) < λ, as in
    /// `ot.partial.partial_wasserstein_lagrange(reg_m=λ)`.
    ///
    /// - Parameter price: λ, finite.
    package func priced(
        cost: Matrix, sourceWeights: [Float]? = nil, targetWeights: [Float]? = nil, price: Float,
        warmStart: TransportPotentials? = nil
    ) throws -> PricedTransportPlan {
        precondition(price.isFinite, "the price of nothing is not finite")
        let (n, m) = (cost.rowCount, cost.columnCount)
        try check(cost)
        let a = try weights(sourceWeights, count: n, name: "source")
        let b = try weights(targetWeights, count: m, name: "target")
        var extended = Matrix(rowCount: n + 1, columnCount: m + 1)
        for i in 0..<n {
            for j in 0..<m { extended[i, j] = cost[i, j] }
            extended[i, m] = price
        }
        let (sourceSum, targetSum) = (a.reduce(0, +), b.reduce(0, +))
        let (source, target) = (a + [targetSum], b + [sourceSum])
        let solver = LogDomainSolver(
            cost: extended, regularization: regularization, rows: side(source, relaxation: .infinity),
            columns: side(target, relaxation: .infinity))
        let solution = run(solver, warmStart)
        var plan = Matrix(rowCount: n, columnCount: m)
        for i in 0..<n {
            for j in 0..<m { plan[i, j] = solution.plan[i, j] }
        }
        return PricedTransportPlan(
            matched: TransportPlan(
                plan: plan, potentials: solution.potentials, marginalError: solution.marginalError,
                iterationCount: solution.iterationCount, converged: solution.converged),
            unmatchedSource: (0..<n).map { solution.plan[$0, m] },
            unmatchedTarget: (0..<m).map { solution.plan[n, $0] })
    }

    func run(_ solver: LogDomainSolver, _ warmStart: TransportPotentials?) -> TransportPlan {
        var solver = solver
        if let warmStart {
            precondition(
                warmStart.source.count == solver.rowCount && warmStart.target.count == solver.columnCount,
                "warm start of \(warmStart.source.count) x \(warmStart.target.count) potentials for"
                    + " \(solver.rowCount) x \(solver.columnCount)")
            solver.rowPotential = warmStart.source.map { $0 / regularization }
            solver.columnPotential = warmStart.target.map { $0 / regularization }
            solver.massPotential = warmStart.mass / regularization
        }
        let outcome = solver.solve(
            maximumIterations: maximumIterations, tolerance: tolerance, isWarm: warmStart != nil)
        return TransportPlan(
            plan: solver.plan(),
            potentials: TransportPotentials(
                source: solver.rowPotential.map { $0 * regularization },
                target: solver.columnPotential.map { $0 * regularization },
                mass: solver.massPotential * regularization),
            marginalError: outcome.marginalError, iterationCount: outcome.iterationCount, converged: outcome.converged)
    }

    /// A marginal that is also the reference measure, so the goal is ln 1.
    private func side(_ weights: [Double], relaxation: Double) -> LogDomainSolver.Side {
        let damping = relaxation == .infinity ? 1 : relaxation / (relaxation + regularization)
        return LogDomainSolver.Side(
            reference: weights.map(log), goal: [Double](repeating: 0, count: weights.count),
            damping: [Double](repeating: damping, count: weights.count))
    }

    /// A marginal as an upper bound, against the counting measure.
    private func bound(_ weights: [Double]) -> LogDomainSolver.Side {
        LogDomainSolver.Side(
            reference: [Double](repeating: 0, count: weights.count), goal: weights.map(log),
            damping: [Double](repeating: 1, count: weights.count), atMost: true)
    }

    func check(_ cost: Matrix) throws {
        precondition(cost.rowCount > 0 && cost.columnCount > 0, "the cost matrix is empty")
        if let index = cost.values.firstIndex(where: { !$0.isFinite }) {
            throw TransportError(
                "cost at row \(index / cost.columnCount), column \(index % cost.columnCount) is \(cost.values[index]);"
                    + " costs must be finite")
        }
    }

    /// Weights in double precision; uniform with sum 1 if none are given.
    func weights(_ given: [Float]?, count: Int, name: String) throws -> [Double] {
        guard let given else { return [Double](repeating: 1 / Double(count), count: count) }
        precondition(given.count == count, "\(given.count) \(name) weights for a cost matrix with \(count)")
        if let index = given.firstIndex(where: { !($0 >= 0 && $0.isFinite) }) {
            throw TransportError("\(name) weight \(index) is \(given[index]); weights must be finite and at least 0")
        }
        guard given.contains(where: { $0 > 0 }) else { throw TransportError("all \(name) weights are 0") }
        return given.map(Double.init)
    }
}
