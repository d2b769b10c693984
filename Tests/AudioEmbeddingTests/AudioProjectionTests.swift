import AudioEmbedding
import TensorKernels
import TestSupport
import Testing

@Suite struct AudioProjectionTests {
    private func project(_ pooled: [Float], _ model: ModelDirectory) throws -> (embedding: [Float], vector: [Float]) {
        var projection = try AudioProjection(model)
        let embedding = projection.project(Matrix(rowCount: 1, columnCount: pooled.count, values: pooled))
        return (embedding.values, Array(projection.lastVector))
    }

    @Test func partsHaveTheirWeights() throws {
        var generator = SeededGenerator(seed: 1)
        let vector = try project(generator.floats(32), TinyModel.load()).vector
        func length(_ part: ArraySlice<Float>) -> Float { part.reduce(0) { $0 + $1 * $1 }.squareRoot() }
        #expect(abs(length(vector[..<7]) - 0.8) < 1e-6)
        #expect(abs(length(vector[7...]) - 0.6) < 1e-6)
    }

    @Test func batchEqualsOneByOne() throws {
        var generator = SeededGenerator(seed: 2)
        let model = try TinyModel.load()
        let pooled = Matrix(rowCount: 5, columnCount: 32, values: generator.floats(160))
        var projection = try AudioProjection(model)
        let all = projection.project(pooled)
        #expect(all.columnCount == 9)
        for row in 0..<5 { #expect(all.row(row) == (try project(pooled.row(row), model).embedding)) }
    }

    @Test func zerosStayFinite() throws {
        let result = try project([Float](repeating: 0, count: 32), TinyModel.load())
        #expect(result.embedding.allSatisfy { $0.isFinite })
    }

    @Test func missingOrMisshapenTensorsAreNamed() throws {
        for index in TinyModel.shapes.indices where !TinyModel.shapes[index].name.hasPrefix("features") {
            let name = TinyModel.shapes[index].name
            let missing = try TinyModel.load { $0.remove(at: index) }
            let error = try #require(throws: ModelError.self) { _ = try AudioProjection(missing) }
            #expect(error.item == name && error.problem == "is missing")
            let wrong = try TinyModel.load { $0[index].shape[0] += 1 }
            let other = try #require(throws: ModelError.self) { _ = try AudioProjection(wrong) }
            #expect(other.problem.hasPrefix("has shape"), "\(other)")
        }
    }
}
