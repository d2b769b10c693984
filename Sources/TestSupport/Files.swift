#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The committed model's directory, found by walking up from a source file; nil where the checkout has none.
package func committedModelPath(from file: String = #filePath, name: String = "earshot-mn04") -> String? {
    var directory = URL(fileURLWithPath: file).deletingLastPathComponent()
    while directory.path != "/" {
        let candidate = directory.appendingPathComponent("models").appendingPathComponent(name)
        if FileManager.default.fileExists(atPath: candidate.appendingPathComponent("config.json").path) {
            return candidate.path
        }
        directory = directory.deletingLastPathComponent()
    }
    return nil
}

/// Runs `body` with a fresh directory that is removed afterwards.
package func withTemporaryDirectory<T>(_ body: (_ path: String) throws -> T) throws -> T {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("earshot-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    return try body(directory.path)
}

/// Writes bytes to a file.
package func write(_ bytes: [UInt8], to path: String) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
}

/// A safetensors file's bytes, from its header text and data; the header's length may be forged.
package func safetensors(header: String, data: [UInt8], declaredLength: UInt64? = nil) -> [UInt8] {
    let text = Array(header.utf8)
    var length = (declaredLength ?? UInt64(text.count)).littleEndian
    return withUnsafeBytes(of: &length) { Array($0) } + text + data
}

/// A well-formed safetensors file of F32 tensors, in the order given.
package func safetensors(_ tensors: [(name: String, shape: [Int], values: [Float])]) -> [UInt8] {
    var entries: [String] = []
    var data: [UInt8] = []
    for tensor in tensors {
        precondition(tensor.shape.reduce(1, *) == tensor.values.count, "shape of \(tensor.name)")
        let begin = data.count
        for value in tensor.values {
            withUnsafeBytes(of: value.bitPattern.littleEndian) { data.append(contentsOf: $0) }
        }
        entries.append(
            #""\#(tensor.name)":{"dtype":"F32","shape":\#(tensor.shape),"data_offsets":[\#(begin),\#(data.count)]}"#)
    }
    return safetensors(header: "{" + entries.joined(separator: ",") + "}", data: data)
}
