import CSndfile
import Glibc

/// A sound file opened for reading through libsndfile.
final class SoundFile {
    /// Rates that can be resampled sensibly, in Hz.
    static let sampleRates = 1_000...768_000

    let path: String
    let sampleRate: Int
    let channelCount: Int
    /// E.g. `WAV (Microsoft), Signed 16 bit PCM`.
    let formatName: String

    private let handle: OpaquePointer
    /// As the header says; `nil` where it does not know.
    private let announcedFrames: Int?
    private let descriptor: Int32
    private var framesRead = 0

    /// - Throws: ``AudioCaptureError`` of kind `input`.
    init(path: String) throws {
        self.path = path
        // O_NONBLOCK: opening a named pipe must not hang.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        if descriptor < 0 {
            let reason =
                switch errno {
                case ENOENT: "no such file"
                case EACCES: "permission denied; the file must be readable by this user"
                case let code: "cannot be opened: \(errorText(code))"
                }
            throw AudioCaptureError(.input, "\(path): \(reason)")
        }
        do {
            try Self.checkKind(of: descriptor, path: path)
        } catch {
            close(descriptor)
            throw error
        }
        var info = SF_INFO()
        // libsndfile gets a descriptor of its own: told to leave ours open, 1.2 still closes it where it cannot read the
        // file, and a second close here would hit whatever another thread has opened by then.
        let lent = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard lent >= 0 else {
            let code = errno
            close(descriptor)
            throw AudioCaptureError(.input, "\(path): cannot be opened: \(errorText(code))")
        }
        guard let handle = sf_open_fd(lent, Int32(SFM_READ), &info, Int32(SF_TRUE)) else {
            let reason = Self.text(sf_strerror(nil))
            close(descriptor)
            throw AudioCaptureError(
                .input, "\(path): not a sound file that libsndfile \(Self.libraryVersion) can read: \(reason)")
        }
        self.handle = handle
        self.descriptor = descriptor
        sampleRate = Int(info.samplerate)
        channelCount = Int(info.channels)
        announcedFrames = (1..<Int(Int64.max)).contains(Int(info.frames)) ? Int(info.frames) : nil
        formatName = Self.formatName(info.format)
        guard Self.sampleRates.contains(sampleRate), channelCount >= 1 else {
            // From here on deinit closes both.
            throw AudioCaptureError(
                .input,
                "\(path): the header says \(sampleRate) Hz and \(channelCount) channels; the rate must be from "
                    + "\(Self.sampleRates.lowerBound) to \(Self.sampleRates.upperBound) Hz")
        }
    }

    deinit {
        sf_close(handle)
        close(descriptor)
    }

    private static func checkKind(of descriptor: Int32, path: String) throws {
        var status = stat()
        if fstat(descriptor, &status) != 0 {
            throw AudioCaptureError(.input, "\(path): cannot be examined: \(errorText(errno))")
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG: break
        case S_IFDIR: throw AudioCaptureError(.input, "\(path): is a directory; name the sound files in it")
        default:
            throw AudioCaptureError(
                .input, "\(path): is not a regular file; raw samples from a pipe are read with - as the source")
        }
        if status.st_size == 0 {
            throw AudioCaptureError(.input, "\(path): is empty (0 bytes)")
        }
    }

    /// Reads the next frames.
    /// - Parameter buffer: `frameCount * channelCount` interleaved samples; integer formats map to [-1, 1).
    /// - Returns: How many frames were read; 0 at the end, where ``failureAtEnd()`` tells whether it was a good one.
    func read(into buffer: UnsafeMutablePointer<Float>, frameCount: Int) -> Int {
        let count = max(0, Int(sf_readf_float(handle, buffer, sf_count_t(frameCount))))
        framesRead += count
        return count
    }

    /// Goes back to the beginning.
    /// - Throws: ``AudioCaptureError`` of kind `input` where the format does not allow it.
    func rewind() throws {
        guard sf_seek(handle, 0, SEEK_SET) == 0 else {
            throw AudioCaptureError(
                .input, "\(path): cannot be read again from its beginning: \(Self.text(sf_strerror(handle)))")
        }
        framesRead = 0
    }

    /// Why the file ended before it should, if it did. Call it when ``read(into:frameCount:)`` has returned 0.
    func failureAtEnd() -> AudioCaptureError? {
        let after = "after \(secondsText(framesRead))"
        if sf_error(handle) != 0 {
            return AudioCaptureError(.input, "\(path): damaged \(after): \(Self.text(sf_strerror(handle)))")
        }
        if let announcedFrames, framesRead < announcedFrames {
            return AudioCaptureError(
                .input, "\(path): truncated or damaged: ends \(after) of \(secondsText(announcedFrames))")
        }
        if logTellsOfHoles {
            return AudioCaptureError(
                .input, "\(path): damaged: only \(secondsText(framesRead)) could be decoded, parts between are missing")
        }
        if let reason = containerDamage(descriptor: descriptor) {
            return AudioCaptureError(.input, "\(path): truncated: ends \(after); \(reason)")
        }
        if framesRead == 0 {
            return AudioCaptureError(.input, "\(path): holds no audio (0 frames)")
        }
        return nil
    }

    /// libsndfile passes over damaged pages of an Ogg stream and only writes it down.
    private var logTellsOfHoles: Bool {
        var log = [CChar](repeating: 0, count: 16_384)
        let length = sf_command(handle, Int32(SFC_GET_LOG_INFO), &log, Int32(log.count))
        guard length > 0 else { return false }
        let text = String(decoding: log.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return text.contains("Corrupted bitstream") || text.contains("reports a hole")
    }

    private func secondsText(_ frames: Int) -> String {
        let milliseconds = frames * 1000 / sampleRate
        let fraction = String(milliseconds % 1000 + 1000).dropFirst()
        return "\(milliseconds / 1000).\(fraction) s"
    }

    private static func formatName(_ format: Int32) -> String {
        func name(_ part: Int32) -> String? {
            var info = SF_FORMAT_INFO()
            info.format = part
            let size = Int32(MemoryLayout<SF_FORMAT_INFO>.size)
            guard sf_command(nil, Int32(SFC_GET_FORMAT_INFO), &info, size) == 0, let name = info.name else {
                return nil
            }
            return String(cString: name)
        }
        let container = name(format & Int32(SF_FORMAT_TYPEMASK)) ?? "unknown container"
        let coding = name(format & Int32(SF_FORMAT_SUBMASK)) ?? "unknown coding"
        return "\(container), \(coding)"
    }

    private static var libraryVersion: String {
        text(sf_version_string()).replacingPrefix("libsndfile-", with: "")
    }

    /// libsndfile's text on one line, without its full stop.
    private static func text(_ pointer: UnsafePointer<CChar>?) -> String {
        guard let pointer else { return "unknown error" }
        let words = String(cString: pointer).split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return words.hasSuffix(".") ? String(words.dropLast()) : words
    }
}

extension String {
    fileprivate func replacingPrefix(_ prefix: String, with replacement: String) -> String {
        hasPrefix(prefix) ? replacement + dropFirst(prefix.count) : self
    }
}
