import TensorKernels
import Testing

@testable import OptimalTransport

/// Equality with POT.
@Suite struct GoldenTests {
    static let tolerance: Float = 1e-5

    @Test func theFileCoversTheGrid() {
        let all = GoldenFile.shared.cases
        #expect(GoldenFile.cases("balanced").count > 60)
        #expect(GoldenFile.cases("unbalanced").count > 60)
        #expect(GoldenFile.cases("partial").count > 60)
        #expect(GoldenFile.cases("priced").count > 30)
        #expect(all.contains { $0.kind == "balanced" && $0.regularization == 1e-3 && $0.rows > 10 })
        #expect(all.contains { $0.rows == 1 } && all.contains { $0.columns == 1 } && all.contains { $0.a.contains(0) })
    }

    @Test(arguments: GoldenFile.cases("balanced"))
    func balanced(_ golden: GoldenFile.Case) throws {
        let sinkhorn = Sinkhorn(regularization: golden.regularization, maximumIterations: 100_000, tolerance: 1e-11)
        let result = try sinkhorn.balanced(
            cost: golden.costMatrix, sourceWeights: golden.a, targetWeights: golden.b)
        expectEqual(result, golden)
    }

    @Test(arguments: GoldenFile.cases("unbalanced"))
    func unbalanced(_ golden: GoldenFile.Case) throws {
        let sinkhorn = Sinkhorn(regularization: golden.regularization, maximumIterations: 100_000, tolerance: 1e-12)
        let relaxation = golden.relaxation!.map { $0 ?? .infinity }
        let result = try sinkhorn.unbalanced(
            cost: golden.costMatrix, sourceWeights: golden.a, targetWeights: golden.b,
            sourceRelaxation: relaxation[0], targetRelaxation: relaxation[1])
        expectEqual(result, golden)
    }

    @Test(arguments: GoldenFile.cases("partial"))
    func partial(_ golden: GoldenFile.Case) throws {
        let sinkhorn = Sinkhorn(regularization: golden.regularization, maximumIterations: 100_000, tolerance: 1e-12)
        let result = try sinkhorn.partial(
            cost: golden.costMatrix, sourceWeights: golden.a, targetWeights: golden.b, mass: golden.mass!)
        expectEqual(result, golden)
    }

    @Test(arguments: GoldenFile.cases("priced"))
    func priced(_ golden: GoldenFile.Case) throws {
        let sinkhorn = Sinkhorn(regularization: golden.regularization, maximumIterations: 100_000, tolerance: 1e-12)
        let result = try sinkhorn.priced(
            cost: golden.costMatrix, sourceWeights: golden.a, targetWeights: golden.b, price: golden.price!)
        expectEqual(result.matched, golden)
        #expect(largestDifference(result.unmatchedSource, golden.unmatchedSource!).difference < Self.tolerance)
        #expect(largestDifference(result.unmatchedTarget, golden.unmatchedTarget!).difference < Self.tolerance)
    }

    /// At small ε the priced plan approaches exact partial transport.
    @Test(arguments: GoldenFile.cases("exact"))
    func pricedApproachesExactPartialTransport(_ golden: GoldenFile.Case) throws {
        let sinkhorn = Sinkhorn(regularization: golden.regularization / 5, maximumIterations: 20_000, tolerance: 1e-7)
        let result = try sinkhorn.priced(
            cost: golden.costMatrix, sourceWeights: golden.a, targetWeights: golden.b, price: golden.price!)
        let worst = largestDifference(result.matched.plan.values, golden.plan)
        #expect(worst.difference < 2e-3, "\(golden): \(worst), error \(result.matched.marginalError)")
    }

    @Test func distances() {
        let golden = GoldenFile.shared.distances
        let x = Matrix(rowCount: golden.rows, columnCount: golden.length, values: golden.x)
        let y = Matrix(rowCount: golden.columns, columnCount: golden.length, values: golden.y)
        let factor = Matrix(rowCount: golden.rank, columnCount: golden.length, values: golden.factor)
        for (actual, expected) in [
            (CostMatrix.squaredEuclidean(x, y), golden.squaredEuclidean),
            (CostMatrix.euclidean(x, y), golden.euclidean),
            (CostMatrix.cosine(x, y), golden.cosine),
            (CostMatrix.mahalanobis(x, y, factor: factor), golden.mahalanobis),
            (CostMatrix.mahalanobis(x, y, factor: factor, squared: true), golden.mahalanobis.map { $0 * $0 }),
        ] {
            for (a, e) in zip(actual.values, expected) { #expect(abs(a - e) <= 1e-6 + 2e-6 * abs(e), "\(a) \(e)") }
        }
        #expect(CostMatrix.squaredEuclidean(x, x)[2, 2] == 0)
        let zero = Matrix(rowCount: 1, columnCount: golden.length)
        #expect(CostMatrix.cosine(zero, y).values == [1, 1, 1, 1])
    }

    func expectEqual(_ result: TransportPlan, _ golden: GoldenFile.Case) {
        let converged = result.converged
        #expect(converged, "\(golden): error \(result.marginalError) after \(result.iterationCount)")
        let worst = largestDifference(result.plan.values, golden.plan)
        #expect(
            worst.difference < Self.tolerance,
            "\(golden): \(worst.difference) at \(worst.index), error \(result.marginalError)")
    }
}
