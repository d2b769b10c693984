@testable import AudioCapture

extension FuzzTarget {
    /// The bytes of a sound file, decoded at once and, for some, through the capture thread as the daemon does.
    static let audio = FuzzTarget(name: "audio") { bytes in
        try audioFile.with(bytes) { path in
            do {
                let decoded = try decodeFile(path, sampleRate: 32_000)
                try demand(decoded.samples.allSatisfy { abs($0) < 1000 }, "a sample that is no sound")
                if let failure = decoded.failure { try demandOneLine(failure.description) }
                if bytes.reduce(0, &+) % 8 == 0 { try demandSame(path, decoded) }
            } catch let error as AudioCaptureError {
                try demandOneLine(error.description)
            }
        }
    }

    private static let audioFile = InputFile("sound")

    /// Both ways of reading find the same.
    private static func demandSame(_ path: String, _ decoded: DecodedFile) throws {
        let input = try AudioInput(.init(source: .file(path: path)))
        defer { input.handle.stop() }
        let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: 4096)
        defer { buffer.deallocate() }
        var count = 0
        var failure: AudioCaptureError?
        do {
            reading: while true {
                switch try input.next(into: buffer, timeout: .seconds(20)) {
                case .samples(let arrived): count += arrived
                case .gap: throw Violation(description: "a file at full speed has a gap")
                case .idle: throw Violation(description: "a file gives nothing for 20 s")
                case .ended: break reading
                }
            }
        } catch let error as AudioCaptureError {
            failure = error
        }
        try demand(count == decoded.samples.count, "\(count) samples live, \(decoded.samples.count) at once")
        try demand(failure == decoded.failure, "live \(String(describing: failure))")
    }
}
