import Foundation
import TensorKernels

/// Golden plans of training/goldens/transport.py.
struct GoldenFile: Decodable {
    struct Case: Decodable, CustomStringConvertible {
        let kind: String
        let name: String
        let rows: Int
        let columns: Int
        let cost: [Float]
        let a: [Float]
        let b: [Float]
        let plan: [Float]
        let regularization: Double
        /// ρ of both sides; null is infinite.
        let relaxation: [Double?]?
        let mass: Double?
        let price: Float?
        let unmatchedSource: [Float]?
        let unmatchedTarget: [Float]?

        var costMatrix: Matrix { Matrix(rowCount: rows, columnCount: columns, values: cost) }
        var description: String { "\(kind) \(name)" }
    }

    struct Distances: Decodable {
        let x: [Float]
        let y: [Float]
        let factor: [Float]
        let rows: Int
        let columns: Int
        let length: Int
        let rank: Int
        let squaredEuclidean: [Float]
        let euclidean: [Float]
        let cosine: [Float]
        let mahalanobis: [Float]
    }

    let cases: [Case]
    let distances: Distances

    static let shared: GoldenFile = {
        let url = Bundle.module.url(forResource: "Golden/transport", withExtension: "json")!
        return try! JSONDecoder().decode(GoldenFile.self, from: Data(contentsOf: url))
    }()

    static func cases(_ kind: String) -> [Case] { shared.cases.filter { $0.kind == kind } }
}

/// Largest |actual - expected|, and where; not a number counts as infinite.
func largestDifference(_ actual: [Float], _ expected: [Float]) -> (difference: Float, index: Int) {
    precondition(actual.count == expected.count)
    var worst: (difference: Float, index: Int) = (0, -1)
    for index in actual.indices {
        let difference = abs(actual[index] - expected[index])
        if !(difference <= worst.difference) { worst = (difference.isNaN ? .infinity : difference, index) }
    }
    return worst
}

/// SplitMix64: the same numbers in each run.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func floats(_ count: Int, in range: ClosedRange<Float> = 0...1) -> [Float] {
        (0..<count).map { _ in Float.random(in: range, using: &self) }
    }

    mutating func matrix(_ rows: Int, _ columns: Int, in range: ClosedRange<Float> = 0...1) -> Matrix {
        Matrix(rowCount: rows, columnCount: columns, values: floats(rows * columns, in: range))
    }

    /// Positive, with sum 1.
    mutating func weights(_ count: Int) -> [Float] {
        let values = floats(count, in: 0.1...1)
        let sum = values.reduce(0, +)
        return values.map { $0 / sum }
    }
}
