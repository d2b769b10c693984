import Glibc

/// Keeps the number up to which the broker has everything, for the next start.
struct PositionFile: Sendable {
    let path: String

    /// Nil where there is no such file yet, or it holds no number.
    func read() -> Int64? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 32)
        let count = fread(&bytes, 1, bytes.count, file)
        let text = String(decoding: bytes[..<count], as: UTF8.self)
        return Int64(text.prefix { $0.isNumber })
    }

    /// Replaces the file as a whole, so that a kill in the middle leaves the old one.
    ///
    /// - Throws: ``MQTTError`` where that is not possible; the old number stays.
    func write(_ position: Int64) throws(MQTTError) {
        let temporary = path + ".new"
        guard let file = fopen(temporary, "we") else { throw failure() }
        let text = Array("\(position)\n".utf8)
        let isWritten = fwrite(text, 1, text.count, file) == text.count
        guard fclose(file) == 0, isWritten, rename(temporary, path) == 0 else {
            let error = failure()
            unlink(temporary)
            throw error
        }
    }

    private func failure() -> MQTTError {
        MQTTError("\(path): cannot be written: \(String(cString: strerror(errno)))")
    }
}
