import Foundation

/// Makes a model directory out of the committed one: its weights, another `config.json`, label embeddings of its own.
///
/// - Parameters:
///   - folder: Where to make the directory.
///   - prompts: They get made-up sentence embeddings (random signs), so that no text encoder is needed.
///   - hearsEverything: Makes matching a window with nothing so dear that any sound is an event: the labels' shares of
///     a window sum to 1 whatever the weights are.
///   - edit: Changes the decoded `config.json`.
/// - Returns: The directory's path; nil where the checkout has no model.
package func makeDerivedModel(
    in folder: String, prompts: [String], hearsEverything: Bool = true, edit: (inout [String: Any]) -> Void = { _ in }
) throws -> String? {
    guard let original = committedModelPath() else { return nil }
    let path = folder + "/model"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    let data = try Data(contentsOf: URL(fileURLWithPath: original + "/config.json"))
    var configuration = try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
    if hearsEverything {
        var transport = configuration["transport"] as? [String: Any] ?? [:]
        transport["price"] = 1000
        configuration["transport"] = transport
    }
    edit(&configuration)
    try JSONSerialization.data(withJSONObject: configuration)
        .write(to: URL(fileURLWithPath: path + "/config.json"))
    try FileManager.default.createSymbolicLink(
        atPath: path + "/model.safetensors", withDestinationPath: original + "/model.safetensors")
    try write(sentenceBundle(prompts), to: path + "/labels.safetensors")
    return path
}

/// A `labels.safetensors` that holds random unit vectors for the prompts.
package func sentenceBundle(_ prompts: [String], seed: UInt64 = 7) throws -> [UInt8] {
    let size = 384
    var generator = SeededGenerator(seed: seed)
    // About 1/√384, exact in half precision, so that nothing is rounded on the way.
    let values = (0..<prompts.count * size).map { _ in
        Bool.random(using: &generator) ? Float(1672) / 32_768 : -1672 / 32_768
    }
    // The checksum that the product expects: FNV-1a over 32-bit words with MurmurHash3's finaliser.
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for value in values { hash = (hash ^ UInt64(value.bitPattern)) &* 0x100_0000_01B3 }
    hash = (hash ^ (hash >> 33)) &* 0xFF51_AFD7_ED55_8CCD
    hash = (hash ^ (hash >> 33)) &* 0xC4CE_B9FE_1A85_EC53
    hash ^= hash >> 33
    let digits = String(hash, radix: 16)
    let metadata = [
        "format": "earshot-sentences-1", "text_encoder": "made up",
        "sentences": String(decoding: try JSONEncoder().encode(prompts), as: UTF8.self),
        "checksum": String(repeating: "0", count: 16 - digits.count) + digits,
    ]
    let tensor: [String: Any] = [
        "dtype": "F32", "shape": [prompts.count, size], "data_offsets": [0, 4 * values.count],
    ]
    var header = try JSONSerialization.data(
        withJSONObject: ["__metadata__": metadata, "embeddings": tensor],
        options: [.sortedKeys, .withoutEscapingSlashes])
    header.append(contentsOf: repeatElement(UInt8(ascii: " "), count: -header.count & 7))
    var bytes: [UInt8] = []
    for value in values { withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) } }
    return safetensors(header: String(decoding: header, as: UTF8.self), data: bytes)
}
