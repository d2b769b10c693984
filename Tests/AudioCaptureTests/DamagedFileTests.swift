import CSndfile
import Foundation
import Testing

@testable import AudioCapture

@Suite struct DamagedFileTests {
    private func bytes(_ path: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    }

    /// Three seconds of a tone in the given format.
    private func tone(_ folder: TemporaryFolder, _ name: String, _ format: Int, rate: Int = 48_000) throws -> String {
        let path = folder.file(name)
        var random = SeededGenerator(state: 7)
        let signal = sine(500, rate: rate, count: 3 * rate).map { $0 + Float.random(in: -0.1...0.1, using: &random) }
        try writeSoundFile(path, format: format, rate: rate, signal)
        return path
    }

    private func openingFailure(_ path: String) -> String {
        do {
            _ = try AudioInput(.init(source: .file(path: path)))
            return "opened"
        } catch {
            #expect((error as? AudioCaptureError)?.kind == .input)
            #expect(!"\(error)".contains("\n"))
            return "\(error)"
        }
    }

    @Test func whatIsNoSoundFileIsNamed() throws {
        let folder = try TemporaryFolder()
        #expect(openingFailure("/nonexistent/x.wav") == "/nonexistent/x.wav: no such file")
        #expect(openingFailure(folder.path) == "\(folder.path): is a directory; name the sound files in it")
        let empty = try folder.write("empty.wav", [])
        #expect(openingFailure(empty) == "\(empty): is empty (0 bytes)")
        for (name, content) in [
            ("text.wav", Array("this is not sound\n".utf8)), ("riff.wav", Array("RIFF".utf8)),
            ("zeros.ogg", [UInt8](repeating: 0, count: 5000)), ("short.flac", Array("fLaC".utf8)),
        ] {
            let path = try folder.write(name, content)
            #expect(openingFailure(path).hasPrefix("\(path): not a sound file that libsndfile "))
        }
        let pipe = folder.file("pipe")
        mkfifo(pipe, 0o600)
        #expect(openingFailure(pipe).contains("is not a regular file"))
        #expect(openingFailure("/dev/zero").contains("is not a regular file"))
    }

    @Test(.enabled(if: geteuid() != 0, "root reads everything")) func unreadableFilesAreNamed() throws {
        let folder = try TemporaryFolder()
        let path = try tone(folder, "a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16)
        chmod(path, 0)
        #expect(openingFailure(path).contains("permission denied"))
    }

    @Test func noFramesAreAnError() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a.wav")
        try writeSoundFile(path, format: SF_FORMAT_WAV | SF_FORMAT_PCM_16, rate: 32_000, [])
        let recording = Recording(try AudioInput(.init(source: .file(path: path))))
        #expect(recording.failure == AudioCaptureError(.input, "\(path): holds no audio (0 frames)"))
    }

    /// What is there is delivered, then the failure is thrown; the offline form agrees.
    @Test(arguments: [
        ("a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16), ("b.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16),
        ("c.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS), ("d.opus", SF_FORMAT_OGG | SF_FORMAT_OPUS),
        ("e.mp3", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III), ("f.aiff", SF_FORMAT_AIFF | SF_FORMAT_PCM_16),
    ])
    func truncatedFiles(name: String, format: Int) throws {
        let folder = try TemporaryFolder()
        let whole = try tone(folder, name, format)
        let reference = try decodeFile(whole, sampleRate: 32_000)
        #expect(reference.failure == nil)
        let all = try bytes(whole)
        for share in [0.5, 0.9] {
            let path = try folder.write("cut-\(name)", Array(all.prefix(Int(Double(all.count) * share))))
            let recording = Recording(try AudioInput(.init(source: .file(path: path))))
            let decoded = try decodeFile(path, sampleRate: 32_000)
            let failure = try #require(recording.failure, "\(name) at \(share): no failure")
            print("\(failure)")
            #expect(failure.kind == .input)
            #expect(failure.description.hasPrefix("\(path): "))
            #expect(!failure.description.contains("\n"))
            #expect(decoded.failure == failure)
            #expect(decoded.samples.count == recording.samples.count)
            #expect(Double(recording.samples.count) > (share - 0.3) * 96_000)
            let safe = max(0, recording.samples.count - 6400)
            #expect(maximumDifference(recording.samples.prefix(safe), reference.samples) < 1e-3)
        }
    }

    /// Noise in the middle of a file: whatever the decoder makes of it, nothing crashes, and samples stay usable.
    @Test(arguments: [
        ("a.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16), ("b.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS),
        ("c.opus", SF_FORMAT_OGG | SF_FORMAT_OPUS), ("d.mp3", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III),
        ("e.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT),
    ])
    func corruptFiles(name: String, format: Int) throws {
        let folder = try TemporaryFolder()
        let all = try bytes(tone(folder, name, format))
        var random = SeededGenerator(state: 11)
        for trial in 0..<8 {
            var damaged = all
            // Also the header in half of the trials.
            let start = trial % 2 == 0 ? damaged.count / 2 : 0
            for _ in 0..<40 {
                let index = Int.random(in: start..<damaged.count, using: &random)
                damaged[index] = UInt8.random(in: 0...255, using: &random)
            }
            let path = try folder.write("damaged-\(name)", damaged)
            do {
                let recording = Recording(try AudioInput(.init(source: .file(path: path))))
                #expect(recording.samples.allSatisfy { abs($0) < 1000 })
                if trial % 2 == 0 {
                    print(
                        "\(name): \(recording.samples.count) samples; \(recording.failure?.description ?? "no failure")"
                    )
                }
            } catch let error as AudioCaptureError {
                #expect(error.description.hasPrefix("\(path): "))
            }
        }
    }

    @Test(arguments: [SF_FORMAT_VORBIS, SF_FORMAT_OPUS]) func holesInAnOggStreamAreNamed(coding: Int) throws {
        let folder = try TemporaryFolder()
        var all = try bytes(tone(folder, "a.ogg", SF_FORMAT_OGG | coding))
        all[all.count / 2] ^= 0x55
        let path = try folder.write("b.ogg", all)
        let failure = try #require(try decodeFile(path, sampleRate: 32_000).failure)
        #expect(failure.description.hasPrefix("\(path): "))
        #expect(failure.description.contains("damaged"))
    }

    /// A header that promises hours: what is there is delivered, and the lie is named.
    @Test func anOverlongHeaderIsNamed() throws {
        let folder = try TemporaryFolder()
        var all = try bytes(tone(folder, "a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16))
        all.replaceSubrange(40..<44, with: [0, 0, 0, 0x40])
        let path = try folder.write("b.wav", all)
        let recording = Recording(try AudioInput(.init(source: .file(path: path))))
        #expect(recording.samples.count == 96_000)
        #expect(recording.failure?.description.contains("bytes of its samples are missing") == true)
    }

    /// Programs that write to a pipe cannot know the length: not an error.
    @Test(arguments: [[UInt8](repeating: 0xFF, count: 4), [0, 0xF0, 0xFF, 0x7F]])
    func anUnknownLengthIsNoError(size: [UInt8]) throws {
        let folder = try TemporaryFolder()
        var all = try bytes(tone(folder, "a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16))
        all.replaceSubrange(40..<44, with: size)
        let path = try folder.write("b.wav", all)
        let recording = Recording(try AudioInput(.init(source: .file(path: path))))
        #expect(recording.samples.count == 96_000)
        #expect(recording.failure == nil)
    }

    @Test func impossibleRatesAreNamed() throws {
        let folder = try TemporaryFolder()
        var all = try bytes(tone(folder, "a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16))
        for rate: [UInt8] in [[1, 0, 0, 0], [0xFF, 0xFF, 0xFF, 0x7F]] {
            all.replaceSubrange(24..<28, with: rate)
            let path = try folder.write("b.wav", all)
            #expect(openingFailure(path).hasPrefix("\(path): "))
        }
    }
}
