#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// One kind of input that comes from outside, and what must hold whatever its bytes are.
struct FuzzTarget: Sendable {
    /// Also the name of its folder in `Corpus` and of its file in `Dictionaries`.
    let name: String
    /// Takes one input. What the input does wrong is the product's to refuse; what the product does wrong is thrown
    /// as a ``Violation``, or ends the process.
    let run: @Sendable ([UInt8]) throws -> Void

    static let all: [FuzzTarget] = [
        .request, .connection, .labels, .configuration, .safetensors, .model, .tokenizer, .vocabulary, .audio,
    ]
}

/// A promise that was not kept.
struct Violation: Error, CustomStringConvertible {
    let description: String
}

/// - Throws: ``Violation`` unless `condition` holds.
func demand(_ condition: Bool, _ promise: @autoclosure () -> String) throws {
    if !condition { throw Violation(description: promise()) }
}

/// Messages for people are one line each, and say something.
func demandOneLine(_ message: String) throws {
    try demand(!message.isEmpty, "an error without a message")
    let breaks = message.unicodeScalars.contains { $0.value < 0x20 && $0 != "\t" || $0.value == 0x7F }
    try demand(!breaks, "a message of more than one line: \(message.debugDescription)")
}

/// A file in memory that each input is written to, for what can only be read from a path.
final class InputFile: Sendable {
    let path: String

    init(_ name: String) {
        let folder = FileManager.default.fileExists(atPath: "/dev/shm") ? "/dev/shm" : "/tmp"
        path = "\(folder)/earshot-fuzz-\(ProcessInfo.processInfo.processIdentifier)-\(name)"
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes the bytes, hands out the path and removes the file.
    func with<Result>(_ bytes: [UInt8], _ body: (String) throws -> Result) throws -> Result {
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try body(path)
    }
}
