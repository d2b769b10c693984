import Dispatch
import Foundation
import TestSupport
import Testing

/// Replays what is kept of fuzzing, and some mutations of it: `make fuzz` does that for longer and with an eye on
/// coverage. One after the other, as targets have files and connections of their own.
@Suite(.serialized) struct CorpusTests {
    private static func corpus(_ target: FuzzTarget) throws -> [(name: String, bytes: [UInt8])] {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Corpus/\(target.name)"
        return try FileManager.default.contentsOfDirectory(atPath: folder).sorted().map { name in
            (name, Array(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)"))))
        }
    }

    @Test(arguments: FuzzTarget.all.map(\.name)) func keptInputsAreHandled(target name: String) async throws {
        let target = try #require(FuzzTarget.all.first { $0.name == name })
        let inputs = try Self.corpus(target)
        #expect(inputs.count >= 2)
        #expect(await failures(of: target, on: inputs) == [])
    }

    @Test(arguments: FuzzTarget.all.map(\.name)) func mutatedInputsAreHandled(target name: String) async throws {
        let target = try #require(FuzzTarget.all.first { $0.name == name })
        let inputs = try Self.corpus(target).map(\.bytes).filter { $0.count <= 8192 }
        var generator = SeededGenerator(seed: 2026)
        let mutated = (0..<300).map { round in
            let bytes = mutate(inputs.randomElement(using: &generator) ?? [], with: inputs, using: &generator)
            return (name: "round \(round): \(Data(bytes).base64EncodedString())", bytes: bytes)
        }
        #expect(await failures(of: target, on: mutated) == [])
    }

    /// Runs on a thread of Dispatch's: targets block, and tests share the few threads of the cooperative pool.
    private func failures(of target: FuzzTarget, on inputs: [(name: String, bytes: [UInt8])]) async -> [String] {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                let failures = inputs.compactMap { input -> String? in
                    do {
                        try target.run(input.bytes)
                        return nil
                    } catch {
                        return "\(target.name), \(input.name): \(error)"
                    }
                }
                continuation.resume(returning: failures)
            }
        }
    }

    /// Bit flips, cuts, repetitions and splices.
    private func mutate(
        _ bytes: [UInt8], with others: [[UInt8]], using generator: inout SeededGenerator
    ) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            guard !bytes.isEmpty else { return bytes }
            let start = Int.random(in: 0..<bytes.count, using: &generator)
            let end = min(bytes.count, start + Int.random(in: 1...32, using: &generator))
            switch Int.random(in: 0..<5, using: &generator) {
            case 0: bytes[start] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 1: bytes[start] = UInt8.random(in: 0...255, using: &generator)
            case 2: bytes.removeSubrange(start..<end)
            case 3: bytes.insert(contentsOf: bytes[start..<end], at: start)
            default:
                guard let other = others.randomElement(using: &generator), !other.isEmpty else { continue }
                bytes = Array(bytes[..<start] + other[(start % other.count)...])
            }
        }
        return bytes
    }
}
