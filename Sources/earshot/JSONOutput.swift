import Foundation

/// Writes a line to standard output; ends the program quietly where nobody reads it any more (`| head`).
func printLine(_ line: some DataProtocol) {
    do {
        try FileHandle.standardOutput.write(contentsOf: Data(line) + Data("\n".utf8))
    } catch {
        exit(0)
    }
}

/// Prints one value as one line of JSON with sorted keys.
func printJSON(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    printLine(try encoder.encode(value))
}

/// A number with so many decimals, as JSON readers and people like it.
func rounded(_ value: Double, _ decimals: Int) -> Double {
    let scale = pow(10, Double(decimals))
    return (value * scale).rounded() / scale
}
