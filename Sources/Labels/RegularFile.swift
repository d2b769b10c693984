#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The bytes of a regular file.
///
/// Anything else is refused: a pipe without a writer would hold up the daemon's reload for ever.
/// - Throws: ``LabelFileError`` for a path that is missing, unreadable, no regular file, or too large.
func readRegularFile(path: String, maximumBytes: Int) throws(LabelFileError) -> [UInt8] {
    func failure(_ reason: String) -> LabelFileError { LabelFileError(path: path, reason: reason) }
    func systemFailure(_ code: Int32) -> LabelFileError {
        failure("the label file cannot be read: \(String(cString: strerror(code)))")
    }

    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { throw systemFailure(errno) }
    defer { close(descriptor) }

    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw systemFailure(errno) }
    switch status.st_mode & S_IFMT {
    case S_IFREG: break
    case S_IFDIR: throw failure("this is a directory; a label file is a text file")
    default: throw failure("this is no regular file; a label file is a text file")
    }

    // Read to the end rather than to the stated size: files under /proc state 0, and a file may grow meanwhile.
    var bytes: [UInt8] = []
    let chunkLength = 65_536
    while true {
        let start = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: chunkLength))
        let count = bytes.withUnsafeMutableBytes { buffer in
            read(descriptor, buffer.baseAddress.map { $0 + start }, chunkLength)
        }
        let code = errno
        bytes.removeLast(chunkLength - max(count, 0))
        if count == 0 { return bytes }
        if count < 0 {
            if code == EINTR { continue }
            throw systemFailure(code)
        }
        if bytes.count > maximumBytes {
            throw failure("the file is larger than \(maximumBytes / 1_048_576) MB; a label file is a short text file")
        }
    }
}
