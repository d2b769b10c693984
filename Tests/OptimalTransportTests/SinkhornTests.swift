import Foundation
import TensorKernels
import Testing

@testable import OptimalTransport

/// Properties, an independent check, and what happens when a problem is wrong or not solved.
@Suite struct SinkhornTests {
    static let sizes = [(1, 1), (1, 9), (9, 1), (4, 6), (20, 13)]

    @Test(arguments: sizes)
    func marginalsHoldAndThePlanIsNotNegative(size: (Int, Int)) throws {
        var random = SeededGenerator(state: 1)
        let cost = random.matrix(size.0, size.1)
        let (a, b) = (random.weights(size.0), random.weights(size.1))
        for regularization in [0.01, 0.1, 2] {
            let result = try Sinkhorn(regularization: regularization, maximumIterations: 50_000)
                .balanced(cost: cost, sourceWeights: a, targetWeights: b)
            #expect(result.converged && result.marginalError <= 1e-9 && result.iterationCount > 0)
            #expect(result.plan.values.allSatisfy { $0 >= 0 })
            #expect(largestDifference(rowSums(result.plan), a).difference < 1e-6)
            #expect(largestDifference(columnSums(result.plan), b).difference < 1e-6)
        }
    }

    @Test func permutingLabelsPermutesColumns() throws {
        var random = SeededGenerator(state: 2)
        let cost = random.matrix(8, 6)
        let (a, b) = (random.weights(8), random.weights(6))
        let order = [3, 0, 5, 1, 4, 2]
        var permuted = Matrix(rowCount: 8, columnCount: 6)
        for i in 0..<8 { for j in 0..<6 { permuted[i, j] = cost[i, order[j]] } }
        let sinkhorn = Sinkhorn(regularization: 0.05, maximumIterations: 10_000)
        for solve in [Kind.balanced, .unbalanced, .partial, .priced] {
            let plain = try plan(solve, sinkhorn, cost, a, b)
            let result = try plan(solve, sinkhorn, permuted, a, order.map { b[$0] })
            for i in 0..<8 { for j in 0..<6 { #expect(abs(result[i, j] - plain[i, order[j]]) < 1e-7) } }
        }
    }

    @Test func aConstantAddedToTheCostLeavesTheBalancedPlan() throws {
        var random = SeededGenerator(state: 3)
        let cost = random.matrix(8, 6)
        let shifted = Matrix(rowCount: 8, columnCount: 6, values: cost.values.map { $0 + 2 })
        let sinkhorn = Sinkhorn(regularization: 0.05, maximumIterations: 10_000)
        let plain = try sinkhorn.balanced(cost: cost)
        let result = try sinkhorn.balanced(cost: shifted)
        #expect(largestDifference(result.plan.values, plain.plan.values).difference < 1e-6)
    }

    /// With uniform weights on n x n and ε → 0, the plan is the best assignment over n.
    @Test(arguments: [11, 12, 13, 14] as [UInt64])
    func smallRegularizationFindsTheBestAssignment(seed: UInt64) throws {
        var random = SeededGenerator(state: seed)
        let cost = random.matrix(6, 6)
        var best: (cost: Float, order: [Int]) = (.infinity, [])
        for order in permutations(of: 6) {
            let total = order.enumerated().reduce(Float(0)) { $0 + cost[$1.offset, $1.element] }
            if total < best.cost { best = (total, order) }
        }
        let result = try Sinkhorn(regularization: 2e-3, maximumIterations: 50_000, tolerance: 1e-7)
            .balanced(cost: cost)
        for i in 0..<6 {
            let row = result.plan.row(i)
            #expect(row.firstIndex(of: row.max()!) == best.order[i])
        }
        let transportCost = zip(result.plan.values, cost.values).reduce(Float(0)) { $0 + $1.0 * $1.1 } * 6
        #expect(abs(transportCost - best.cost) < 0.02)
    }

    @Test func unbalancedApproachesBalancedAndSemiRelaxedKeepsItsRows() throws {
        var random = SeededGenerator(state: 4)
        let cost = random.matrix(7, 5)
        let (a, b) = (random.weights(7), random.weights(5))
        let sinkhorn = Sinkhorn(regularization: 0.1, maximumIterations: 100_000, tolerance: 1e-11)
        let balanced = try sinkhorn.balanced(cost: cost, sourceWeights: a, targetWeights: b)
        let stiff = try sinkhorn.unbalanced(
            cost: cost, sourceWeights: a, targetWeights: b, sourceRelaxation: 1000, targetRelaxation: 1000)
        #expect(largestDifference(stiff.plan.values, balanced.plan.values).difference < 1e-4)
        let semi = try sinkhorn.unbalanced(
            cost: cost, sourceWeights: a, targetWeights: b, sourceRelaxation: .infinity, targetRelaxation: 0.05)
        #expect(largestDifference(rowSums(semi.plan), a).difference < 1e-6)
        #expect(largestDifference(columnSums(semi.plan), b).difference > 1e-4)
        let free = try sinkhorn.unbalanced(
            cost: cost, sourceWeights: a, targetWeights: b, sourceRelaxation: .infinity, targetRelaxation: 0)
        #expect(free.converged && free.potentials.target.allSatisfy { $0 == 0 })
    }

    @Test func partialMovesItsMassWithinTheWeights() throws {
        var random = SeededGenerator(state: 5)
        let cost = random.matrix(9, 7)
        let (a, b) = (random.weights(9), random.weights(7))
        for mass in [0.05, 0.5, 0.95] {
            let result = try Sinkhorn(regularization: 0.02, maximumIterations: 100_000)
                .partial(cost: cost, sourceWeights: a, targetWeights: b, mass: mass)
            #expect(result.converged)
            #expect(abs(Double(result.plan.values.reduce(0, +)) - mass) < 1e-5)
            #expect(zip(rowSums(result.plan), a).allSatisfy { $0 <= $1 + 1e-6 })
            #expect(zip(columnSums(result.plan), b).allSatisfy { $0 <= $1 + 1e-6 })
        }
    }

    @Test func thePriceOfNothingDecidesWhatIsMatched() throws {
        let cost = Matrix(rows: [[0.1, 0.9], [0.8, 0.9]])
        let sinkhorn = Sinkhorn(regularization: 5e-3, maximumIterations: 20_000)
        let result = try sinkhorn.priced(cost: cost, price: 0.4)
        #expect(result.matched.plan[0, 0] > 0.49)
        #expect(result.unmatchedSource[0] < 0.01 && result.unmatchedSource[1] > 0.49)
        #expect(result.unmatchedTarget[1] > 0.49)
        let cheap = try sinkhorn.priced(cost: cost, price: -1)
        #expect(cheap.matched.plan.values.allSatisfy { $0 < 1e-6 })
    }

    /// P = a ⊗ b exp((f + g - C)/ε), and a row of weight 0 has the potential that it would have with a little weight.
    @Test func thePotentialsGiveThePlan() throws {
        var random = SeededGenerator(state: 8)
        let cost = random.matrix(5, 4)
        var (a, b) = ([0.25, 0, 0.25, 0.25, 0.25] as [Float], random.weights(4))
        let sinkhorn = Sinkhorn(regularization: 0.1, maximumIterations: 10_000, tolerance: 1e-12)
        let result = try sinkhorn.balanced(cost: cost, sourceWeights: a, targetWeights: b)
        let (f, g) = (result.potentials.source, result.potentials.target)
        for i in 0..<5 {
            for j in 0..<4 {
                let weight = Double(a[i]) * Double(b[j])
                let expected = weight * exp((f[i] + g[j] - Double(cost[i, j])) / 0.1)
                #expect(abs(Double(result.plan[i, j]) - expected) < 1e-6)
            }
        }
        a[1] = 1e-7
        b[0] += 1e-7
        let weighed = try sinkhorn.balanced(cost: cost, sourceWeights: a, targetWeights: b)
        #expect(abs((weighed.potentials.source[1] - weighed.potentials.source[0]) - (f[1] - f[0])) < 1e-5)
    }

    @Test func aWarmStartSavesIterations() throws {
        var random = SeededGenerator(state: 6)
        let cost = random.matrix(15, 10)
        let sinkhorn = Sinkhorn(regularization: 0.02, maximumIterations: 50_000)
        for kind in [Kind.balanced, .unbalanced, .partial, .priced] {
            let (cold, again) = try twice(kind, sinkhorn, cost)
            #expect(cold.iterationCount > 5)
            #expect(again.converged && again.iterationCount <= 1, "\(kind): \(again.iterationCount)")
            #expect(largestDifference(cold.plan.values, again.plan.values).difference < 1e-7)
        }
    }

    @Test func nonConvergenceIsReported() throws {
        var random = SeededGenerator(state: 7)
        let result = try Sinkhorn(regularization: 1e-3, maximumIterations: 2).balanced(cost: random.matrix(10, 10))
        #expect(!result.converged && result.iterationCount == 2 && result.marginalError > 1e-3)
        #expect(result.plan.values.allSatisfy { $0.isFinite })
        #expect(largestDifference(columnSums(result.plan), [Float](repeating: 0.1, count: 10)).difference > 1e-5)
    }

    @Test func wrongProblemsAreErrors() throws {
        let sinkhorn = Sinkhorn(regularization: 0.1)
        var cost = Matrix(rows: [[1, 2], [3, 4]])
        func message(_ body: () throws -> Void) -> String {
            do { try body() } catch { return "\(error)" }
            return ""
        }
        #expect(
            message { _ = try sinkhorn.balanced(cost: cost, sourceWeights: [1, 1]) }
                == "source weights sum to 2.0, target weights to 1.0; balanced transport needs equal sums")
        #expect(
            message { _ = try sinkhorn.balanced(cost: cost, sourceWeights: [0, 0], targetWeights: [0, 0]) }
                == "all source weights are 0")
        #expect(
            message { _ = try sinkhorn.balanced(cost: cost, targetWeights: [1, -1]) }
                == "target weight 1 is -1.0; weights must be finite and at least 0")
        #expect(message { _ = try sinkhorn.partial(cost: cost, mass: 1.5) }.hasPrefix("mass 1.5 is not above 0"))
        #expect(message { _ = try sinkhorn.partial(cost: cost, mass: .nan) }.hasPrefix("mass nan"))
        cost[1, 0] = .nan
        let expected = "cost at row 1, column 0 is nan; costs must be finite"
        #expect(message { _ = try sinkhorn.balanced(cost: cost) } == expected)
        #expect(
            message { _ = try sinkhorn.unbalanced(cost: cost, sourceRelaxation: 1, targetRelaxation: 1) } == expected)
        #expect(message { _ = try sinkhorn.partial(cost: cost, mass: 0.5) } == expected)
        #expect(message { _ = try sinkhorn.priced(cost: cost, price: 0) } == expected)
    }

    // MARK: Helpers

    enum Kind { case balanced, unbalanced, partial, priced }

    func plan(_ kind: Kind, _ sinkhorn: Sinkhorn, _ cost: Matrix, _ a: [Float], _ b: [Float]) throws -> Matrix {
        switch kind {
        case .balanced: try sinkhorn.balanced(cost: cost, sourceWeights: a, targetWeights: b).plan
        case .unbalanced:
            try sinkhorn.unbalanced(
                cost: cost, sourceWeights: a, targetWeights: b, sourceRelaxation: 0.3, targetRelaxation: 0.1
            ).plan
        case .partial: try sinkhorn.partial(cost: cost, sourceWeights: a, targetWeights: b, mass: 0.6).plan
        case .priced: try sinkhorn.priced(cost: cost, sourceWeights: a, targetWeights: b, price: 0.2).matched.plan
        }
    }

    func twice(_ kind: Kind, _ sinkhorn: Sinkhorn, _ cost: Matrix) throws -> (TransportPlan, TransportPlan) {
        func solve(_ warm: TransportPotentials?) throws -> TransportPlan {
            switch kind {
            case .balanced: try sinkhorn.balanced(cost: cost, warmStart: warm)
            case .unbalanced:
                try sinkhorn.unbalanced(cost: cost, sourceRelaxation: 0.3, targetRelaxation: 0.1, warmStart: warm)
            case .partial: try sinkhorn.partial(cost: cost, mass: 0.6, warmStart: warm)
            case .priced: try sinkhorn.priced(cost: cost, price: 0.2, warmStart: warm).matched
            }
        }
        let cold = try solve(nil)
        return (cold, try solve(cold.potentials))
    }

    func rowSums(_ plan: Matrix) -> [Float] { (0..<plan.rowCount).map { plan.row($0).reduce(0, +) } }

    func columnSums(_ plan: Matrix) -> [Float] {
        (0..<plan.columnCount).map { j in (0..<plan.rowCount).reduce(Float(0)) { $0 + plan[$1, j] } }
    }

    func permutations(of count: Int) -> [[Int]] {
        guard count > 1 else { return [[0]] }
        return permutations(of: count - 1).flatMap { order in
            (0..<count).map { position in
                var longer = order
                longer.insert(count - 1, at: position)
                return longer
            }
        }
    }
}
