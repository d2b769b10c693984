/// Where audio comes from, as users write it: `alsa:DEVICE`, a path, or `-`.
package enum SourceSpecification: Equatable, Sendable, CustomStringConvertible {
    /// A capture device by its ALSA name, e.g. `default` or `hw:CARD=Device,DEV=0`.
    case alsa(device: String)
    /// A file that libsndfile can read.
    case file(path: String)
    /// Raw signed 16-bit little-endian mono samples on standard input.
    case standardInput

    /// Parses what a user wrote. A file whose name starts with `alsa:` is written `./alsa:…`.
    /// - Throws: ``AudioCaptureError`` of kind `usage`.
    package init(_ text: String) throws {
        if text.isEmpty {
            throw AudioCaptureError(
                .usage, "the source is empty; write alsa:DEVICE, a path, or - for standard input")
        }
        if text.utf8.contains(0) {
            throw AudioCaptureError(.usage, "the source contains a NUL byte; write alsa:DEVICE, a path, or -")
        }
        if text == "-" {
            self = .standardInput
        } else if text.hasPrefix("alsa:") {
            let device = String(text.dropFirst("alsa:".count))
            if device.isEmpty || device.allSatisfy(\.isWhitespace) {
                throw AudioCaptureError(
                    .usage, "\(text): no device named; write alsa:default or one that `earshot devices` lists")
            }
            self = .alsa(device: device)
        } else {
            self = .file(path: text)
        }
    }

    /// The specification as a user would write it.
    package var description: String {
        switch self {
        case .alsa(let device): "alsa:\(device)"
        case .file(let path): path
        case .standardInput: "-"
        }
    }

    /// What messages call this source.
    var messageName: String {
        self == .standardInput ? "standard input" : description
    }
}

/// Which channel of a source is listened to.
package enum ChannelSelection: Equatable, Sendable {
    /// The mean of all channels.
    case mix
    /// One channel; the first is 1, as in `channel = 2`.
    case index(Int)

    /// - Throws: ``AudioCaptureError`` when a source of `channelCount` channels has no such channel.
    func check(channelCount: Int, source: String) throws {
        guard case .index(let number) = self else { return }
        if number < 1 {
            throw AudioCaptureError(.usage, "\(source): channel = \(number) is wrong; the first channel is 1")
        }
        if number > channelCount {
            let has = channelCount == 1 ? "1 channel" : "\(channelCount) channels"
            throw AudioCaptureError(.usage, "\(source): channel = \(number), but the source has \(has)")
        }
    }

    func description(channelCount: Int) -> String {
        switch self {
        case .mix: channelCount == 1 ? "the only channel" : "the mean of \(channelCount) channels"
        case .index(let number): "channel \(number) of \(channelCount)"
        }
    }
}
