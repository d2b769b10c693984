import NIOCore

/// Cuts a byte stream into lines, in bounded memory.
///
/// A line longer than the limit is reported once, its bytes are thrown away as they come, and the line after it is read
/// as usual.
struct LineFramer {
    enum Line: Equatable {
        /// Without its newline.
        case line([UInt8])
        case tooLong
    }

    /// Bytes of a line without its newline.
    let maximumLength: Int
    private var buffer = ByteBuffer()
    /// So many readable bytes are known to hold no newline: each byte is looked at once.
    private var scanned = 0
    /// In the rest of a line that was too long.
    private var isSkipping = false

    init(maximumLength: Int) {
        self.maximumLength = maximumLength
    }

    /// Bytes held. Stays within `maximumLength` and one read if ``next()`` is called until it returns nil.
    var heldByteCount: Int { buffer.readableBytes }

    mutating func append(_ bytes: inout ByteBuffer) {
        buffer.writeBuffer(&bytes)
    }

    /// The next complete line, nil if there is none yet.
    mutating func next() -> Line? {
        while true {
            let view = buffer.readableBytesView
            let end = view[view.index(view.startIndex, offsetBy: scanned)...].firstIndex(of: UInt8(ascii: "\n"))
            guard let end else {
                if isSkipping {
                    clear()
                    return nil
                }
                guard buffer.readableBytes > maximumLength else {
                    scanned = buffer.readableBytes
                    return nil
                }
                isSkipping = true
                clear()
                return .tooLong
            }
            let length = end - view.startIndex
            scanned = 0
            if isSkipping || length > maximumLength {
                buffer.moveReaderIndex(forwardBy: length + 1)
                reclaim()
                if isSkipping {
                    isSkipping = false
                    continue
                }
                return .tooLong
            }
            let bytes = buffer.readBytes(length: length) ?? []
            buffer.moveReaderIndex(forwardBy: 1)
            reclaim()
            return .line(bytes)
        }
    }

    /// What came after the last newline, to be called at the end of the stream: a last line needs no newline.
    mutating func remainder() -> Line? {
        defer { clear() }
        guard !isSkipping, buffer.readableBytes > 0 else { return nil }
        return .line(buffer.readBytes(length: buffer.readableBytes) ?? [])
    }

    private mutating func clear() {
        buffer = ByteBuffer()
        scanned = 0
    }

    /// Idle clients hold no memory: there may be many.
    private mutating func reclaim() {
        if buffer.readableBytes == 0 {
            buffer = ByteBuffer()
        } else if buffer.readerIndex > maximumLength {
            buffer.discardReadBytes()
        }
    }
}
