import AudioEmbedding
import Foundation
import TestSupport
import Testing

@Suite struct WordPieceTokenizerTests {
    private struct Golden: Decodable {
        let text: String
        let ids: [Int32]
    }

    private func installed(for test: String = #function) throws -> WordPieceTokenizer? {
        try installedTextEncoder(for: test).map { try WordPieceTokenizer(vocabularyPath: "\($0)/vocab.txt") }
    }

    @Test func equalsHuggingFaceOnVariedStrings() throws {
        guard let tokenizer = try installed() else { return }
        let lines = try Data(contentsOf: URL(fileURLWithPath: goldenPath("tokens.jsonl")))
            .split(separator: UInt8(ascii: "\n"))
        #expect(lines.count >= 2000)
        var wrong = 0
        for (index, line) in lines.enumerated() {
            let golden = try JSONDecoder().decode(Golden.self, from: line)
            let ids = tokenizer.encode(golden.text, maximumLength: 256)
            if ids != golden.ids {
                wrong += 1
                if wrong <= 10 { Issue.record("line \(index + 1) \(golden.text.prefix(80)): \(ids) for \(golden.ids)") }
            }
        }
        #expect(wrong == 0, "of \(lines.count)")
    }

    /// "a" + c + "b" of every code point of the assigned planes, by hashes of 512 at a time.
    @Test func equalsHuggingFaceOnEveryCodePoint() throws {
        guard let tokenizer = try installed() else { return }
        let text = try String(contentsOfFile: goldenPath("token-codepoints.txt"), encoding: .utf8)
        let lines = text.split(separator: "\n")
        #expect(lines.count > 250)
        for line in lines {
            let fields = line.split(separator: " ")
            let first = try #require(UInt32(fields[0], radix: 16))
            var hash: UInt64 = 0xCBF2_9CE4_8422_2325
            for scalar in (first..<first + 512).compactMap(Unicode.Scalar.init) {
                for id in tokenizer.encode("a\(scalar)b", maximumLength: 256) {
                    withUnsafeBytes(of: id.littleEndian) { bytes in
                        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
                    }
                }
            }
            #expect(
                String(hash, radix: 16) == String(UInt64(fields[1], radix: 16) ?? 0, radix: 16), "from U+\(fields[0])")
        }
    }

    // A vocabulary of a few pieces, so that the following need no installation.
    private func small() throws -> WordPieceTokenizer {
        let pieces = [
            "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "dog", "do", "##g", "##s", "bark", "##ing", ".", "狗",
        ]
        return try withTemporaryDirectory { folder in
            try write(Array(pieces.joined(separator: "\n").utf8), to: "\(folder)/vocab.txt")
            return try WordPieceTokenizer(vocabularyPath: "\(folder)/vocab.txt")
        }
    }

    @Test(
        arguments: [
            ("", []), ("dog", [5]), ("Dogs BARKING.", [5, 8, 9, 10, 11]), ("dög", [5]), ("d\u{200D}o\u{0}g", [5]),
            ("狗dog狗", [12, 5, 12]), ("cat", [1]), ("dogcat", [1]), ("dog [MASK]dog", [5, 4, 5]),
            ("\t\u{3000}dog\u{A0}", [5]),
        ] as [(String, [Int32])])
    func pieces(text: String, expected: [Int32]) throws {
        #expect(try small().encode(text, maximumLength: 16) == [2] + expected + [3])
    }

    @Test func truncationKeepsTheFirstPieces() throws {
        let tokenizer = try small()
        let text = "Dogs barking. dog"
        let all = tokenizer.encode(text, maximumLength: 64)
        for length in 2...all.count {
            let ids = tokenizer.encode(text, maximumLength: length)
            #expect(ids == Array(all.dropLast().prefix(length - 1)) + [3])
        }
    }

    /// White space and letter case do not matter, and any input ends.
    @Test func properties() throws {
        let tokenizer = try small()
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<500 {
            let scalars = (0..<Int.random(in: 0..<40, using: &generator)).compactMap { _ in
                Unicode.Scalar(UInt32.random(in: 0..<0x110000, using: &generator))
            }
            let text = "dog " + String(String.UnicodeScalarView(scalars))
            let ids = tokenizer.encode(text, maximumLength: 20)
            #expect(ids.count <= 20 && ids.first == 2 && ids.last == 3)
            #expect(ids.allSatisfy { (0..<Int32(tokenizer.vocabularySize)).contains($0) })
            #expect(tokenizer.encode("  \(text)\n", maximumLength: 20) == ids)
        }
    }

    @Test func unusableVocabularies() throws {
        try withTemporaryDirectory { folder in
            let missing = "\(folder)/none.txt"
            #expect { try WordPieceTokenizer(vocabularyPath: missing) } throws: { "\($0)".hasPrefix("\(missing): ") }
            let other = "\(folder)/other.txt"
            try write(Array("a\nb\nc\n".utf8), to: other)
            #expect { try WordPieceTokenizer(vocabularyPath: other) } throws: {
                "\($0)" == "\(other): has no line [UNK]; this is no vocabulary of a BERT model"
            }
            try write([], to: other)
            #expect(throws: (any Error).self) { try WordPieceTokenizer(vocabularyPath: other) }
        }
    }
}
