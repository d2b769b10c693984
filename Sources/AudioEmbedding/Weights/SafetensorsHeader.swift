#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// One tensor's place in a safetensors file, checked against the file's length.
struct SafetensorsEntry: Equatable {
    /// As written: `F32`, `F16`, `BF16`, `I64` ...
    let dataType: String
    let shape: [Int]
    /// Bytes, from the beginning of the data section.
    let begin: Int
    let end: Int

    var elementCount: Int { shape.reduce(1, *) }
}

/// Reads the header of the safetensors format: eight bytes little-endian length, then one JSON object of
/// `name: {dtype, shape, data_offsets}`, then the data, which the tensors tile without gap or overlap.
enum SafetensorsHeader {
    /// The limit of the reference implementation; a longer header is not a header.
    static let maximumLength = 100_000_000

    private static let bytesPerElement = [
        "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4,
        "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
    ]

    /// - Parameters:
    ///   - file: the whole file.
    ///   - path: for messages.
    /// - Returns: the tensors by name, the string metadata, and where the data section begins.
    /// - Throws: ``ModelError``.
    static func parse(
        _ file: UnsafeRawBufferPointer, path: String
    ) throws -> (entries: [String: SafetensorsEntry], metadata: [String: String], dataBegin: Int) {
        guard file.count >= 8 else {
            throw ModelError(path: path, problem: "is \(file.count) bytes long, too short for a safetensors file")
        }
        let declared = UInt64(littleEndian: file.loadUnaligned(as: UInt64.self))
        guard declared <= UInt64(maximumLength), Int(declared) <= file.count - 8 else {
            throw ModelError(
                path: path,
                problem: "header of \(declared) bytes does not fit the file of \(file.count) bytes; "
                    + "truncated, or not a safetensors file")
        }
        let headerLength = Int(declared)
        let json = Data(UnsafeRawBufferPointer(rebasing: file[8..<8 + headerLength]))
        let header: Header
        do {
            header = try decodeJSON(Header.self, from: json)
        } catch let error as DecodingError {
            throw ModelError(path: path, problem: "header is not a safetensors header: \(describe(error))")
        } catch {
            throw ModelError(path: path, problem: "header is not JSON")
        }
        let dataLength = file.count - 8 - headerLength
        var entries: [String: SafetensorsEntry] = [:]
        for (name, raw) in header.tensors {
            entries[name] = try check(raw, name: name, dataLength: dataLength, path: path)
        }
        try checkTiling(entries, dataLength: dataLength, path: path)
        return (entries, header.metadata, 8 + headerLength)
    }

    /// Checks one tensor by itself; every product and sum that a hostile file could overflow is checked.
    private static func check(
        _ raw: RawEntry, name: String, dataLength: Int, path: String
    ) throws -> SafetensorsEntry {
        func fail(_ problem: String) -> ModelError { ModelError(path: path, item: name, problem: problem) }

        guard raw.dataOffsets.count == 2 else {
            throw fail("data_offsets has \(raw.dataOffsets.count) numbers instead of 2")
        }
        let begin = raw.dataOffsets[0]
        let end = raw.dataOffsets[1]
        guard begin >= 0, begin <= end, end <= dataLength else {
            throw fail(
                "data_offsets \(begin) to \(end) lie outside the data section of \(dataLength) bytes (truncated?)")
        }
        var count = 1
        for size in raw.shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: size)
            guard size >= 0, !overflow else { throw fail("shape \(raw.shape.prefix(8)) is impossible") }
            count = product
        }
        guard let width = bytesPerElement[raw.dataType] else {
            throw fail("type '\(raw.dataType.prefix(20))' is unknown")
        }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: width)
        guard !overflow, bytes == end - begin else {
            throw fail("shape \(raw.shape.prefix(8)) of \(raw.dataType) does not fill its \(end - begin) bytes")
        }
        return SafetensorsEntry(dataType: raw.dataType, shape: raw.shape, begin: begin, end: end)
    }

    private static func checkTiling(
        _ entries: [String: SafetensorsEntry], dataLength: Int, path: String
    ) throws {
        var position = 0
        for (name, entry) in entries.sorted(by: { ($0.value.begin, $0.value.end) < ($1.value.begin, $1.value.end) }) {
            guard entry.begin == position else {
                throw ModelError(
                    path: path, item: name,
                    problem: entry.begin < position
                        ? "overlaps another tensor (begins at \(entry.begin), before \(position))"
                        : "begins at \(entry.begin), leaving a hole from \(position)")
            }
            position = entry.end
        }
        guard position == dataLength else {
            throw ModelError(
                path: path, problem: "has \(dataLength - position) bytes after its last tensor; the header is wrong")
        }
    }

    private struct RawEntry: Decodable {
        let dataType: String
        let shape: [Int]
        let dataOffsets: [Int]

        enum CodingKeys: String, CodingKey {
            case dataType = "dtype"
            case shape
            case dataOffsets = "data_offsets"
        }
    }

    private struct Header: Decodable {
        var tensors: [String: RawEntry] = [:]
        var metadata: [String: String] = [:]

        struct Name: CodingKey {
            let stringValue: String
            var intValue: Int? { nil }
            init(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: Name.self)
            for key in container.allKeys {
                if key.stringValue == "__metadata__" {
                    metadata = try container.decode([String: String].self, forKey: key)
                } else {
                    tensors[key.stringValue] = try container.decode(RawEntry.self, forKey: key)
                }
            }
        }
    }
}
