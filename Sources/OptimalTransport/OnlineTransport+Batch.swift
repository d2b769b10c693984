package import TensorKernels

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

extension OnlineTransport {
    /// The batch form of ``OnlineTransport``: all given windows and the bank at once, to convergence, in double precision.
    /// The reference for the streaming form.
    ///
    /// - Parameters:
    ///   - windowCosts: [R x L], 1 ≤ R ≤ windowCapacity.
    ///   - bankCost: [B x L].
    ///   - labelWeights: [L], or uniform.
    /// - Returns: shares [R x (L + 1)], nothing last, rows sum to 1; and the solve's plan over bank, then windows, and
    ///   labels, then nothing.
    package static func solution(
        _ configuration: OnlineTransportConfiguration, windowCosts: Matrix, bankCost: Matrix,
        labelWeights: [Float]? = nil, maximumIterations: Int = 10000, tolerance: Double = 1e-9
    ) throws -> (shares: Matrix, plan: TransportPlan) {
        let labelCount = windowCosts.columnCount
        let (bankCount, windowCount) = (bankCost.rowCount, windowCosts.rowCount)
        precondition(
            windowCount > 0 && windowCount <= configuration.windowCapacity,
            "\(windowCount) windows for a ring of \(configuration.windowCapacity)")
        precondition(bankCount == 0 || bankCost.columnCount == labelCount, "the bank has other labels")
        let marginal = try labelMarginal(
            labelWeights ?? [Float](repeating: 1, count: labelCount), uniformShare: 0)
        let (rowCount, columnCount) = (bankCount + windowCount, labelCount + 1)
        var cost = Matrix(rowCount: rowCount, columnCount: columnCount, repeating: configuration.nothingPrice)
        for row in 0..<rowCount {
            let source = row < bankCount ? bankCost : windowCosts
            for label in 0..<labelCount {
                cost[row, label] = source[row < bankCount ? row : row - bankCount, label]
            }
        }
        let regularization = Double(configuration.regularization)
        let sinkhorn = Sinkhorn(
            regularization: regularization, maximumIterations: maximumIterations, tolerance: tolerance)
        try sinkhorn.check(cost)

        let window = Double(
            OnlineTransportLayout.windowMass(
                windowCount: windowCount, windowCapacity: configuration.windowCapacity, bankCount: bankCount,
                bankShare: configuration.bankShare))
        let masses = (0..<rowCount).map {
            $0 < bankCount ? (1 - Double(windowCount) * window) / Double(bankCount) : window
        }
        let rows = LogDomainSolver.Side(
            reference: masses.map(log), goal: [Double](repeating: 0, count: rowCount),
            damping: [Double](repeating: 1, count: rowCount))
        let relaxation = Double(configuration.labelRelaxation)
        let damping = relaxation == .infinity ? 1 : relaxation / (relaxation + regularization)
        let columns = LogDomainSolver.Side(
            reference: marginal.map { log(Double($0) * Double(labelCount)) } + [0],
            goal: [Double](
                repeating: log(Double(configuration.matchedShare) / Double(labelCount)), count: labelCount) + [0],
            damping: [Double](repeating: damping, count: labelCount) + [0])
        let plan = sinkhorn.run(
            LogDomainSolver(cost: cost, regularization: regularization, rows: rows, columns: columns), nil)
        var shares = Matrix(rowCount: windowCount, columnCount: columnCount)
        for window in 0..<windowCount {
            let mass = Float(masses[bankCount + window])
            for column in 0..<columnCount { shares[window, column] = plan.plan[bankCount + window, column] / mass }
        }
        return (shares, plan)
    }
}

/// Label potentials from balanced transport between a bank and the labels, to be added to a clip's scores (-cost): each
/// clip is then matched alone, by the argmax of g_j - C(j), and hubs are corrected by the bank instead of the test set.
///
/// - Parameters:
///   - bankCost: [B x L], B ≥ 1.
///   - labelWeights: [L], or uniform.
/// - Returns: g, [L], in units of the cost, with mean 0 over labels of positive weight; and the solve it comes from.
package func labelPotentials(
    bankCost: Matrix, labelWeights: [Float]? = nil, sinkhorn: Sinkhorn
) throws -> (potentials: [Float], solution: TransportPlan) {
    let marginal = try labelMarginal(
        labelWeights ?? [Float](repeating: 1, count: bankCost.columnCount), uniformShare: 0)
    let solution = try sinkhorn.balanced(cost: bankCost, targetWeights: marginal)
    let weighted = marginal.indices.filter { marginal[$0] > 0 }
    let mean = weighted.reduce(0.0) { $0 + solution.potentials.target[$1] } / Double(weighted.count)
    return (solution.potentials.target.map { Float($0 - mean) }, solution)
}
