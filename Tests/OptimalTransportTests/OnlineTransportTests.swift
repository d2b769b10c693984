import TensorKernels
import Testing

@testable import OptimalTransport

@Suite struct OnlineTransportTests {
    /// Relaxations from free to exact, with and without a bank.
    static let grid: [(relaxation: Float, bankCount: Int)] = [
        (0, 40), (0.01, 40), (0.05, 40), (1, 40), (.infinity, 40), (0.05, 0), (.infinity, 0), (0.05, 1),
    ]

    func configuration(_ relaxation: Float) -> OnlineTransportConfiguration {
        var configuration = OnlineTransportConfiguration()
        configuration.windowCapacity = 5
        configuration.labelRelaxation = relaxation
        configuration.nothingPrice = 0.4
        configuration.bankShare = 0.8
        return configuration
    }

    /// The same five windows again and again: the stream's shares become those of the batch solve.
    @Test(arguments: grid)
    func manyStepsConvergeToTheBatchSolution(relaxation: Float, bankCount: Int) throws {
        for labelCount in [1, 7, 8, 50] {
            var random = SeededGenerator(state: UInt64(labelCount))
            let bank = random.matrix(bankCount, labelCount)
            let windows = random.matrix(5, labelCount)
            let weights = random.weights(labelCount)
            let configuration = configuration(relaxation)
            let batch = try OnlineTransport.solution(
                configuration, windowCosts: windows, bankCost: bank, labelWeights: weights)
            #expect(batch.plan.converged)
            var online = try OnlineTransport(
                configuration: configuration,
                bankCost: bank.rowCount > 0 ? bank : Matrix(rowCount: 0, columnCount: labelCount),
                labelWeights: weights)
            var worst: Float = 0
            for pass in 0..<300 {
                for window in 0..<5 {
                    let shares = step(&online, windows.row(window))
                    if pass == 299 {
                        worst = max(worst, largestDifference(shares, batch.shares.row(window)).difference)
                    }
                }
            }
            #expect(worst < 2e-5, "rho \(relaxation), bank \(bankCount), labels \(labelCount): \(worst)")
        }
    }

    /// With many iterations per step each step solves the problem of the windows so far, also before the ring is full and
    /// after its oldest windows have left.
    @Test func eachStepIsTheBatchSolutionOfItsWindows() throws {
        var random = SeededGenerator(state: 2)
        let (bank, windows) = (random.matrix(25, 6), random.matrix(12, 6))
        var configuration = configuration(0.3)
        configuration.iterationsPerStep = 200
        var online = try OnlineTransport(configuration: configuration, bankCost: bank)
        for step in 0..<12 {
            let recent = (max(0, step - 4)...step).map { windows.row($0) }
            let batch = try OnlineTransport.solution(configuration, windowCosts: Matrix(rows: recent), bankCost: bank)
            let shares = self.step(&online, windows.row(step))
            #expect(largestDifference(shares, batch.shares.row(recent.count - 1)).difference < 1e-5)
            let potentials = batch.plan.potentials.target.dropLast().map { Float($0) }
            #expect(largestDifference(online.labelPotentials, potentials).difference < 1e-5)
        }
    }

    @Test func withoutRelaxationItIsSoftmaxWithAPrice() throws {
        var random = SeededGenerator(state: 3)
        let configuration = configuration(0)
        var online = try OnlineTransport(configuration: configuration, bankCost: random.matrix(30, 9))
        for _ in 0..<20 {
            let cost = random.floats(9)
            var expected = (cost + [configuration.nothingPrice]).map { -$0 / configuration.regularization }
            softmax(&expected, count: 10)
            #expect(largestDifference(step(&online, cost), expected).difference < 1e-6)
        }
    }

    /// One label that is near everything is held down, without touching what is nearer to another label still.
    @Test func aHubLabelIsHeldDown() throws {
        var random = SeededGenerator(state: 4)
        var bank = random.matrix(100, 6, in: 0.6...1)
        for row in 0..<100 { bank[row, 0] = 0.3 }
        let window: [Float] = [0.3, 0.35, 0.9, 0.9, 0.9, 0.9]
        var plain = try OnlineTransport(configuration: configuration(0), bankCost: bank)
        var corrected = try OnlineTransport(configuration: configuration(0.5), bankCost: bank)
        let (before, after) = (step(&plain, window), step(&corrected, window))
        #expect(before[0] > before[1])
        #expect(after[0] < after[1])
        #expect(corrected.labelPotentials[0] < corrected.labelPotentials[1])
    }

    @Test func sharesStayInRangeOnExtremeCosts() throws {
        var random = SeededGenerator(state: 5)
        for relaxation: Float in [0, 0.05, .infinity] {
            var configuration = configuration(relaxation)
            configuration.regularization = 1e-3
            var bank = random.matrix(20, 11, in: 0...50)
            for row in 0..<20 { bank[row, 4] = 1e4 }
            var online = try OnlineTransport(configuration: configuration, bankCost: bank)
            for round in 0..<50 {
                let scale: Float = round % 3 == 0 ? 1e4 : 1
                let shares = step(&online, random.floats(11, in: -1...1).map { $0 * scale })
                #expect(shares.allSatisfy { $0 >= 0 && $0 <= 1 })
                #expect(abs(shares.reduce(0, +) - 1) < 1e-5)
            }
            #expect(online.labelPotentials.allSatisfy { $0.isFinite })
        }
    }

    @Test func aCostThatIsNotFiniteGoesToNothingAndIsForgotten() throws {
        var random = SeededGenerator(state: 6)
        let bank = random.matrix(10, 4)
        var online = try OnlineTransport(configuration: configuration(0.1), bankCost: bank)
        var untouched = online
        #expect(step(&online, [0, .nan, 0, 0]) == [0, 0, 0, 0, 1])
        #expect(step(&online, [0, 0, .infinity, 0]) == [0, 0, 0, 0, 1])
        #expect(step(&online, [0, 0, 0, -3e38]) == [0, 0, 0, 0, 1])
        #expect(online.windowCount == 0)
        let cost = random.floats(4)
        #expect(step(&online, cost) == step(&untouched, cost))
    }

    @Test func resetStartsAnewAndReplacingLabelsEqualsANewMatcher() throws {
        var random = SeededGenerator(state: 7)
        let (bank, other) = (random.matrix(10, 4), random.matrix(12, 9))
        let stream = random.matrix(12, 4)
        var online = try OnlineTransport(configuration: configuration(0.1), bankCost: bank)
        let first = (0..<12).map { step(&online, stream.row($0)) }
        online.reset()
        #expect((0..<12).map { step(&online, stream.row($0)) } == first)

        let weights = random.weights(9)
        try online.replaceLabels(bankCost: other, labelWeights: weights)
        var fresh = try OnlineTransport(configuration: configuration(0.1), bankCost: other, labelWeights: weights)
        let cost = random.floats(9)
        #expect(online.labelCount == 9 && online.bankCount == 12)
        #expect(step(&online, cost) == step(&fresh, cost))

        // A failed replacement keeps the old labels.
        #expect(throws: TransportError.self) {
            try online.replaceLabels(bankCost: bank, labelWeights: [1, .nan, 1, 1])
        }
        #expect(throws: TransportError("bank cost at row 0, label 1 is nan; costs must be finite")) {
            try online.replaceLabels(bankCost: Matrix(rows: [[0, .nan]]))
        }
        #expect(online.labelCount == 9)
    }

    @Test func permutingLabelsPermutesShares() throws {
        var random = SeededGenerator(state: 8)
        let bank = random.matrix(30, 5)
        let order = [4, 2, 0, 1, 3]
        var permuted = bank
        for row in 0..<30 { for label in 0..<5 { permuted[row, label] = bank[row, order[label]] } }
        var online = try OnlineTransport(configuration: configuration(0.2), bankCost: bank)
        var other = try OnlineTransport(configuration: configuration(0.2), bankCost: permuted)
        for _ in 0..<10 {
            let cost = random.floats(5)
            let (plain, result) = (step(&online, cost), step(&other, order.map { cost[$0] }))
            #expect(largestDifference(result, order.map { plain[$0] } + [plain[5]]).difference < 1e-5)
        }
    }

    @Test func contextRaisesALabel() throws {
        let bank = Matrix(rowCount: 4, columnCount: 3, repeating: 0.5)
        let kitchen = try labelMarginal([1, 8, 1])
        #expect(abs(kitchen.reduce(0, +) - 1) < 1e-6)
        #expect(
            largestDifference(try labelMarginal([0, 5, 0], uniformShare: 1), [1, 1, 1].map { $0 / 3 }).difference < 1e-6
        )
        for relaxation: Float in [0, 0.1, .infinity] {
            var online = try OnlineTransport(
                configuration: configuration(relaxation), bankCost: bank, labelWeights: kitchen)
            let shares = step(&online, [0.3, 0.3, 0.3])
            #expect(shares[1] > 2 * shares[0])
        }
        var without = try OnlineTransport(configuration: configuration(0.1), bankCost: bank, labelWeights: [1, 0, 1])
        #expect(step(&without, [0.3, 0, 0.3])[1] == 0)
        #expect(throws: TransportError("all label weights are 0")) { try labelMarginal([0, 0]) }
    }

    @Test func labelPotentialsEvenOutTheBank() throws {
        var random = SeededGenerator(state: 9)
        var bank = random.matrix(60, 5)
        for row in 0..<60 { bank[row, 2] -= 0.3 }
        let (potentials, solution) = try labelPotentials(
            bankCost: bank, sinkhorn: Sinkhorn(regularization: 0.05, maximumIterations: 10_000))
        #expect(solution.converged)
        #expect(abs(potentials.reduce(0, +)) < 1e-5)
        #expect(potentials.firstIndex(of: potentials.min()!) == 2)
        let winners = (0..<60).map { row in
            (0..<5).max { potentials[$0] - bank[row, $0] < potentials[$1] - bank[row, $1] }!
        }
        for label in 0..<5 { #expect((6...18).contains(winners.count { $0 == label })) }
    }

    /// Shares of the labels, then of nothing.
    func step(_ online: inout OnlineTransport, _ cost: [Float]) -> [Float] {
        var shares = [Float](repeating: .nan, count: cost.count + 1)
        shares[cost.count] = online.step(cost, into: &shares)
        return shares
    }
}
