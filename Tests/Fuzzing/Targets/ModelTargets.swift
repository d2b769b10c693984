import TensorKernels
import TestSupport

@testable import AudioEmbedding

extension FuzzTarget {
    /// The bytes of a weight file: its header is checked, then every tensor is read.
    static let safetensors = FuzzTarget(name: "safetensors") { bytes in
        do {
            try safetensorsFile.with(bytes) { try readAll(try SafetensorsFile(path: $0), byteCount: bytes.count) }
        } catch let error as ModelError {
            try demandOneLine(error.description)
        }
    }

    private static let safetensorsFile = InputFile("model.safetensors")

    private static func readAll(_ file: SafetensorsFile, byteCount: Int) throws {
        var total = 0
        for name in file.names {
            let shape = try file.shape(of: name)
            do {
                let values = try file.floats(name, shape: shape)
                total += values.count
                try demand(values.allSatisfy(\.isFinite), "\(name.debugDescription) is not finite")
                _ = try file.view(name, shape: shape)
                if shape.count == 2, shape[0] > 0 {
                    try demand(
                        try file.rows([shape[0] - 1], of: name, columnCount: shape[1]).values
                            == Array(values.suffix(shape[1])), "the last row differs")
                }
            } catch let error as ModelError {
                try demandOneLine(error.description)
            }
        }
        try demand(total * 2 <= byteCount, "\(total) numbers from \(byteCount) bytes")
    }

    /// The bytes of a model's `config.json`.
    static let model = FuzzTarget(name: "model") { bytes in
        do {
            _ = try modelFile.with(bytes) { try ModelConfiguration(path: $0) }
        } catch let error as ModelError {
            try demandOneLine(error.description)
        }
    }

    private static let modelFile = InputFile("config.json")

    /// A text to be tokenised; its first byte says how long the result may be.
    static let tokenizer = FuzzTarget(name: "tokenizer") { bytes in
        guard let first = bytes.first else { return }
        let text = String(decoding: bytes.dropFirst(), as: UTF8.self)
        let whole = try pieces(of: text, smallTokenizer, maximumLength: 1024)
        let short = try pieces(of: text, smallTokenizer, maximumLength: 2 + Int(first))
        try demand(
            short.dropLast() == whole.dropLast().prefix(short.count - 1), "a shorter result is no prefix of a longer")
        try demand(short.count == min(whole.count, 2 + Int(first)), "a result that is shorter than it may be")
    }

    /// The bytes of a vocabulary.
    static let vocabulary = FuzzTarget(name: "vocabulary") { bytes in
        do {
            let read = try vocabularyFile.with(bytes) { try WordPieceTokenizer(vocabularyPath: $0) }
            _ = try pieces(of: "This is a sound of glass breaking, [MASK] étude.", read, maximumLength: 64)
        } catch let error as ModelError {
            try demandOneLine(error.description)
        }
    }

    private static let vocabularyFile = InputFile("vocab.txt")

    private static func pieces(
        of text: String, _ tokenizer: WordPieceTokenizer, maximumLength: Int
    ) throws -> [Int32] {
        let ids = tokenizer.encode(text, maximumLength: maximumLength)
        try demand((2...maximumLength).contains(ids.count), "\(ids.count) of \(maximumLength) pieces")
        try demand(ids.allSatisfy { (0..<tokenizer.vocabularySize).contains(Int($0)) }, "an id that there is not")
        try demand(ids == tokenizer.encode(text, maximumLength: maximumLength), "not the same twice")
        return ids
    }

    /// A small vocabulary, so that inputs do the same on every machine: ASCII, some words and pieces of them.
    private static let smallTokenizer: WordPieceTokenizer = {
        var lines = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        for value in UInt8(33)..<127 { lines += [String(Unicode.Scalar(value)), "##\(Unicode.Scalar(value))"] }
        lines += ["this", "is", "a", "sound", "of", "glass", "break", "##ing", "do", "##g", "alarm", "音", "é", "##é"]
        do {
            return try vocabularyFile.with(Array(lines.joined(separator: "\n").utf8)) {
                try WordPieceTokenizer(vocabularyPath: $0)
            }
        } catch {
            fatalError("\(error)")
        }
    }()
}
