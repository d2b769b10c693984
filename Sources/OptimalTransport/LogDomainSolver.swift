internal import TensorKernels

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Alternating dual ascent of all entropic problems of this module, in the log domain and in double precision: at ε = 1e-3
/// the exponents run to thousands, where a `Float` no longer holds the digits that 1e-5 in the plan needs.
///
/// P(i, j) = r_i s_j exp(-C(i, j)/ε + φ_i + γ_j + η) with the reference measure r ⊗ s. One side's update maximises the dual
/// over that side:
///
///     φ_i = damping_i · (goal_i - ln Σ_j s_j exp(-C(i, j)/ε + γ_j + η))        then, with `atMost`, min(0, φ_i)
///
/// goal is ln(a_i / r_i), the marginal against the reference; damping is ρ/(ρ + ε), 1 for an exact marginal and 0 for a
/// free one.
///
/// At least one row and one column have weight, so every sum has a finite term.
struct LogDomainSolver {
    /// One side's constraint, [n] or [m].
    struct Side {
        /// ln of the reference measure; -∞ where it is 0.
        var reference: [Double]
        /// ln of the wanted marginal over the reference.
        var goal: [Double]
        var damping: [Double]
        /// The marginal is only an upper bound (Benamou et al. 2015, the inequality projections).
        var atMost = false
    }

    let rowCount: Int
    let columnCount: Int
    /// -C/ε, [n x m].
    let exponent: [Double]
    let rows: Side
    let columns: Side
    /// Total mass to hold, or none.
    let mass: Double?
    /// φ, γ, η.
    var rowPotential: [Double]
    var columnPotential: [Double]
    var massPotential = 0.0

    /// - Parameters:
    ///   - cost: [n x m].
    ///   - rows: [n], columns: [m].
    init(cost: Matrix, regularization: Double, rows: Side, columns: Side, mass: Double? = nil) {
        rowCount = cost.rowCount
        columnCount = cost.columnCount
        exponent = cost.values.map { -Double($0) / regularization }
        self.rows = rows
        self.columns = columns
        self.mass = mass
        rowPotential = [Double](repeating: 0, count: rowCount)
        columnPotential = [Double](repeating: 0, count: columnCount)
    }

    /// Updates columns, mass and rows in turn until what the columns still move is at most `tolerance`.
    ///
    /// - Parameter isWarm: the potentials already are a solution's, so they are tried before any update.
    mutating func solve(
        maximumIterations: Int, tolerance: Double, isWarm: Bool
    ) -> (marginalError: Double, iterationCount: Int, converged: Bool) {
        var rowSums = [Double](repeating: 0, count: rowCount)
        var columnSums = [Double](repeating: 0, count: columnCount)
        var iteration = 0
        while true {
            columnLogSums(into: &columnSums)
            let next = updated(columns, columnPotential, logSums: columnSums)
            var error = iteration > 0 || isWarm ? 0.0 : .infinity
            if error == 0 {
                var total = 0.0
                for j in 0..<columnCount {
                    let held = columns.reference[j] + columnSums[j] + massPotential
                    let before = exp(held + columnPotential[j])
                    error += abs(before - exp(held + next[j]))
                    total += before
                }
                if let mass { error += abs(total - mass) }
            }
            if error <= tolerance { return (error, iteration, true) }
            if iteration == maximumIterations { return (error, iteration, false) }
            columnPotential = next
            massPotential += shiftBounds(columns, &columnPotential)
            rowLogSums(into: &rowSums)
            if let mass {
                massPotential = log(mass) - logSumExp(rowSums, plus: rowTerms())
            }
            rowPotential = updated(rows, rowPotential, logSums: rowSums)
            massPotential += shiftBounds(rows, &rowPotential)
            iteration += 1
        }
    }

    /// P, [n x m].
    func plan() -> Matrix {
        var plan = Matrix(rowCount: rowCount, columnCount: columnCount)
        let (rowTerms, columnTerms) = (rowTerms(), columnTerms())
        for i in 0..<rowCount {
            for j in 0..<columnCount {
                let index = i * columnCount + j
                plan.values[index] = Float(exp(exponent[index] + rowTerms[i] + columnTerms[j] + massPotential))
            }
        }
        return plan
    }

    /// φ + ln r, [n].
    private func rowTerms() -> [Double] { zip(rowPotential, rows.reference).map { $0 + $1 } }

    /// γ + ln s, [m].
    private func columnTerms() -> [Double] { zip(columnPotential, columns.reference).map { $0 + $1 } }

    private func updated(_ side: Side, _ potential: [Double], logSums: [Double]) -> [Double] {
        var next = potential
        for index in potential.indices {
            guard side.damping[index] > 0 else { continue }
            next[index] = side.damping[index] * (side.goal[index] - logSums[index] - massPotential)
            if side.atMost { next[index] = min(next[index], 0) }
        }
        return next
    }

    /// Where all of a side's bounds are tight, moves a constant from its potentials to the mass's. The plan stays, and the dual
    /// rises by the weights' surplus over the mass; the alternation alone would creep there, by that surplus per update.
    ///
    /// - Returns: the constant.
    private func shiftBounds(_ side: Side, _ potential: inout [Double]) -> Double {
        guard side.atMost, let largest = potential.max(), largest < 0, largest > -.infinity else { return 0 }
        for index in potential.indices { potential[index] -= largest }
        return largest
    }

    /// ln Σ_j s_j exp(-C(i, j)/ε + γ_j) per row.
    private func rowLogSums(into sums: inout [Double]) {
        exponent.withUnsafeBufferPointer { exponent in
            columnTerms().withUnsafeBufferPointer { potential in
                for i in 0..<rowCount {
                    let row = exponent.baseAddress! + i * columnCount
                    var largest = -Double.infinity
                    for j in 0..<columnCount { largest = max(largest, row[j] + potential[j]) }
                    var sum = 0.0
                    for j in 0..<columnCount { sum += exp(row[j] + potential[j] - largest) }
                    sums[i] = largest + log(sum)
                }
            }
        }
    }

    /// ln Σ_i r_i exp(-C(i, j)/ε + φ_i) per column.
    private func columnLogSums(into sums: inout [Double]) {
        let terms = rowTerms()
        var largest = [Double](repeating: -.infinity, count: columnCount)
        exponent.withUnsafeBufferPointer { exponent in
            for i in 0..<rowCount {
                let row = exponent.baseAddress! + i * columnCount
                let potential = terms[i]
                for j in 0..<columnCount { largest[j] = max(largest[j], row[j] + potential) }
            }
            for j in 0..<columnCount { sums[j] = 0 }
            for i in 0..<rowCount {
                let row = exponent.baseAddress! + i * columnCount
                let potential = terms[i]
                for j in 0..<columnCount {
                    sums[j] += exp(row[j] + potential - largest[j])
                }
            }
        }
        for j in 0..<columnCount { sums[j] = largest[j] + log(sums[j]) }
    }

    /// ln Σ exp(x + y).
    private func logSumExp(_ x: [Double], plus y: [Double]) -> Double {
        var largest = -Double.infinity
        for index in x.indices { largest = max(largest, x[index] + y[index]) }
        var sum = 0.0
        for index in x.indices { sum += exp(x[index] + y[index] - largest) }
        return largest + log(sum)
    }
}
