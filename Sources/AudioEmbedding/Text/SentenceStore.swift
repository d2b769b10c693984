import Foundation
import TensorKernels

/// Sentences and their embeddings in one safetensors file: the form of the bundle that ships with a model and of the
/// cache on a user's machine.
///
/// Tensor `embeddings` is [count x 384] F16. The metadata holds `format`, `text_encoder` (the encoder's identity),
/// `sentences` (a JSON array) and `checksum` (of the embeddings). Sentences are stored in full and compared as text:
/// there is no hash that could collide.
struct SentenceStore: Sendable {
    /// Identity of the text encoder that made the embeddings.
    let identity: String
    private(set) var sentences: [String] = []
    /// [sentences.count x 384], each element a half-precision number.
    private var values: [Float] = []
    private var rows: [String: Int] = [:]

    private static let format = "earshot-sentences-1"
    private static let size = TextEncoder.embeddingSize

    init(identity: String) {
        self.identity = identity
    }

    /// - Throws: ``ModelError`` for a file that cannot be read, is no such store or is damaged.
    init(path: String) throws {
        let file = try SafetensorsFile(path: path)
        func metadata(_ key: String) throws -> String {
            guard let value = file.metadata[key] else { throw ModelError(path: path, item: key, problem: "is missing") }
            return value
        }
        guard try metadata("format") == Self.format else {
            throw ModelError(
                path: path, item: "format", problem: "is \"\(try metadata("format"))\" instead of \"\(Self.format)\"")
        }
        identity = try metadata("text_encoder")
        guard
            let list = try? decodeJSON([String].self, from: Data(try metadata("sentences").utf8))
        else { throw ModelError(path: path, item: "sentences", problem: "is no JSON array of strings") }
        values = try file.floats("embeddings", shape: [list.count, Self.size])
        guard try metadata("checksum") == Self.checksum(values) else {
            throw ModelError(
                path: path, item: "embeddings", problem: "does not have the recorded checksum; it is damaged")
        }
        sentences = list
        for (row, sentence) in list.enumerated() { rows[sentence] = row }
    }

    var count: Int { sentences.count }

    /// The embedding of a sentence, [384], or nil.
    func embedding(of sentence: String) -> ArraySlice<Float>? {
        rows[sentence].map { values[$0 * Self.size..<($0 + 1) * Self.size] }
    }

    /// Adds a sentence at the end, or replaces its embedding.
    /// - Parameter embedding: [384], rounded as ``rounded(_:)`` does.
    mutating func set(_ sentence: String, to embedding: some Collection<Float>) {
        precondition(embedding.count == Self.size, "an embedding of \(embedding.count) elements")
        if let row = rows[sentence] {
            values.replaceSubrange(row * Self.size..<(row + 1) * Self.size, with: embedding)
        } else {
            rows[sentence] = count
            sentences.append(sentence)
            values += embedding
        }
    }

    /// Keeps the last `limit` sentences.
    mutating func dropFirst(downTo limit: Int) {
        guard count > limit else { return }
        values.removeFirst((count - limit) * Self.size)
        sentences.removeFirst(count - limit)
        rows = [:]
        for (row, sentence) in sentences.enumerated() { rows[sentence] = row }
    }

    /// To half precision and back. All embeddings go this way, also fresh ones, so that a result does not depend on
    /// where an embedding came from.
    static func rounded(_ values: [Float]) -> [Float] {
        values.map { FloatingPointStorage.widenHalf(Float16($0).bitPattern) }
    }

    /// Writes the file under another name beside `path` and renames it, so that a reader sees the old file or the new
    /// one. One writer at a time.
    ///
    /// - Throws: ``ModelError``.
    func write(to path: String) throws {
        let new = path + ".new"
        do {
            try encoded().write(to: URL(fileURLWithPath: new))
        } catch {
            throw ModelError(path: new, problem: "cannot be written: \(Self.reason(error))")
        }
        guard rename(new, path) == 0 else {
            throw ModelError(path: path, problem: "cannot be replaced: \(String(cString: strerror(errno)))")
        }
    }

    /// The system's words for a failed file operation, without paths and numbers.
    static func reason(_ error: any Error) -> String {
        let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
        if let underlying, underlying.domain == NSPOSIXErrorDomain {
            return String(cString: strerror(Int32(underlying.code)))
        }
        return error.localizedDescription
    }

    private func encoded() throws -> Data {
        let halves = values.map { Float16($0).bitPattern }
        let header = Header(
            metadata: Header.Metadata(
                format: Self.format, textEncoder: identity,
                sentences: String(decoding: try Self.json(sentences), as: UTF8.self),
                checksum: Self.checksum(values)),
            embeddings: Header.Tensor(
                dtype: "F16", shape: [count, Self.size], dataOffsets: [0, halves.count * MemoryLayout<UInt16>.size]))
        var json = try Self.json(header)
        // The data begins at a multiple of eight bytes.
        json.append(contentsOf: repeatElement(UInt8(ascii: " "), count: -json.count & 7))
        var data = Data()
        withUnsafeBytes(of: UInt64(json.count).littleEndian) { data.append(contentsOf: $0) }
        data.append(json)
        halves.map(\.littleEndian).withUnsafeBytes { data.append(contentsOf: $0) }
        return data
    }

    private static func json(_ value: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        // The same content is the same file, for the bundle in version control.
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(value)
    }

    private static func checksum(_ values: [Float]) -> String {
        var hash = StableHash()
        hash.combine(values)
        return hash.hexadecimal
    }

    private struct Header: Encodable {
        let metadata: Metadata
        let embeddings: Tensor

        struct Metadata: Encodable {
            let format: String
            let textEncoder: String
            let sentences: String
            let checksum: String

            enum CodingKeys: String, CodingKey {
                case format
                case textEncoder = "text_encoder"
                case sentences
                case checksum
            }
        }

        struct Tensor: Encodable {
            let dtype: String
            let shape: [Int]
            let dataOffsets: [Int]

            enum CodingKeys: String, CodingKey {
                case dtype
                case shape
                case dataOffsets = "data_offsets"
            }
        }

        enum CodingKeys: String, CodingKey {
            case metadata = "__metadata__"
            case embeddings
        }
    }
}
