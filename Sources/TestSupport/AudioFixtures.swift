#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
#if canImport(Glibc)
    import Glibc
#endif

/// A file or folder of the checkout, found by walking up from a source file; nil where it is not there.
package func checkoutPath(_ relative: String, from file: String = #filePath) -> String? {
    var directory = URL(fileURLWithPath: file).deletingLastPathComponent()
    while directory.path != "/" {
        let candidate = directory.appendingPathComponent(relative).path
        if FileManager.default.fileExists(atPath: directory.appendingPathComponent("Package.swift").path) {
            return FileManager.default.fileExists(atPath: candidate) ? candidate : nil
        }
        directory = directory.deletingLastPathComponent()
    }
    return nil
}

/// White noise, the same in each run.
package func noise(seconds: Double, sampleRate: Int = 32_000, amplitude: Float = 0.2, seed: UInt64 = 1) -> [Float] {
    var generator = SeededGenerator(seed: seed)
    return generator.floats(Int(seconds * Double(sampleRate)), in: -amplitude...amplitude)
}

package func silence(seconds: Double, sampleRate: Int = 32_000) -> [Float] {
    [Float](repeating: 0, count: Int(seconds * Double(sampleRate)))
}

/// Raw signed 16-bit little-endian samples; full scale is ±1.
package func rawSamples(_ samples: [Float]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(2 * samples.count)
    for sample in samples {
        let word = UInt16(bitPattern: Int16(max(-32_768, min(32_767, (sample * 32_768).rounded()))))
        bytes.append(UInt8(truncatingIfNeeded: word))
        bytes.append(UInt8(truncatingIfNeeded: word >> 8))
    }
    return bytes
}

/// A mono 16-bit WAV file.
package func waveFile(_ samples: [Float], sampleRate: Int = 32_000) -> [UInt8] {
    func number(_ value: Int, _ byteCount: Int) -> [UInt8] {
        (0..<byteCount).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    let data = rawSamples(samples)
    var bytes = Array("RIFF".utf8) + number(36 + data.count, 4) + Array("WAVEfmt ".utf8) + number(16, 4)
    bytes += number(1, 2) + number(1, 2) + number(sampleRate, 4) + number(2 * sampleRate, 4) + number(2, 2)
    bytes += number(16, 2) + Array("data".utf8) + number(data.count, 4)
    return bytes + data
}
