import Foundation
import Testing

/// The text encoder's folder (`model.safetensors`, `vocab.txt`): `EARSHOT_TEXT_ENCODER`, or the one that set-up
/// installed in this checkout; nil, with a line that says so, where there is none.
func installedTextEncoder(for test: String = #function) -> String? {
    let name = "models/text/all-MiniLM-L6-v2"
    var candidates: [URL] = []
    if let path = ProcessInfo.processInfo.environment["EARSHOT_TEXT_ENCODER"], !path.isEmpty {
        candidates.append(URL(fileURLWithPath: path))
    } else {
        var folder = URL(fileURLWithPath: #filePath)
        while folder.path != "/" {
            folder.deleteLastPathComponent()
            candidates.append(folder.appendingPathComponent(name))
        }
    }
    let found = candidates.first { folder in
        ["model.safetensors", "vocab.txt"].allSatisfy {
            FileManager.default.fileExists(atPath: folder.appendingPathComponent($0).path)
        }
    }
    if found == nil { print("SKIPPED \(test): no text encoder in \(name); `make text-encoder` installs it") }
    return found?.path
}

/// A committed golden file.
func goldenPath(_ name: String) throws -> String {
    try #require(Bundle.module.url(forResource: "Golden/\(name)", withExtension: nil)).path
}
