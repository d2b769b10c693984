import CSndfile
import Foundation

@testable import AudioCapture

/// A folder that is removed with the value that owns it.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "earshot-capture-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        try Data(bytes).write(to: URL(fileURLWithPath: file(name)))
        return file(name)
    }
}

/// `count` samples of a sine, from the phase 0.
func sine(_ frequency: Double, rate: Int, count: Int, amplitude: Double = 0.5) -> [Float] {
    (0..<count).map { Float(amplitude * sin(2 * .pi * frequency * Double($0) / Double(rate))) }
}

/// Repeats mono samples on each channel.
func interleave(_ channels: [[Float]]) -> [Float] {
    (0..<channels[0].count).flatMap { frame in channels.map { $0[frame] } }
}

/// Writes a sound file by libsndfile.
/// - Parameter format: e.g. `SF_FORMAT_WAV | SF_FORMAT_PCM_16`.
func writeSoundFile(_ path: String, format: Int, rate: Int, channelCount: Int = 1, _ interleaved: [Float]) throws {
    var info = SF_INFO()
    info.samplerate = Int32(rate)
    info.channels = Int32(channelCount)
    info.format = Int32(format)
    guard let file = sf_open(path, Int32(SFM_WRITE), &info) else {
        throw AudioCaptureError(.input, "\(path): \(String(cString: sf_strerror(nil)))")
    }
    defer { sf_close(file) }
    // In portions: libvorbis does not like a minute at once.
    var offset = 0
    while offset < interleaved.count {
        let count = min(4096 * channelCount, interleaved.count - offset)
        interleaved.withUnsafeBufferPointer {
            _ = sf_writef_float(file, $0.baseAddress! + offset, sf_count_t(count / channelCount))
        }
        offset += count
    }
}

/// All that a source gave until it ended or failed.
struct Recording {
    var samples: [Float] = []
    /// Gaps with the index in ``samples`` where they lie.
    var gaps: [(index: Int, lostSamples: Int, reason: GapReason)] = []
    var failure: AudioCaptureError?
    var statistics = CaptureHandle.Statistics()

    /// - Parameters:
    ///   - limit: Stops the source after so many samples.
    ///   - patience: How often nothing may arrive for a second before the source counts as ended.
    init(_ input: AudioInput, bufferLength: Int = 1000, limit: Int = .max, patience: Int = 1) {
        let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: bufferLength)
        defer { buffer.deallocate() }
        var idle = 0
        reading: while samples.count < limit {
            do {
                switch try input.next(into: buffer, timeout: .seconds(1)) {
                case .samples(let count): samples += buffer.prefix(count)
                case .gap(let lost, let reason): gaps.append((samples.count, lost, reason))
                case .idle:
                    idle += 1
                    if idle == patience { break reading }
                case .ended: break reading
                }
            } catch {
                failure = error as? AudioCaptureError
                break
            }
        }
        statistics = input.handle.statistics
        input.handle.stop()
    }
}

func maximumDifference(_ first: some Collection<Float>, _ second: some Collection<Float>) -> Float {
    zip(first, second).reduce(0) { max($0, abs($1.0 - $1.1)) }
}

/// A seeded generator (SplitMix64), so that a failure can be repeated.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}
