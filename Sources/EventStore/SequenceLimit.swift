import FoundationEssentials
import Glibc

/// A small file beside the store that bounds the numbers given out, for when the store itself cannot tell: damaged, deleted,
/// or on a disk that was full when the daemon was killed. Numbers must never be given out twice.
///
/// It is written over in place, which works on a full disk, and once per ``block`` numbers. Its lock keeps a second daemon
/// off the store.
final class SequenceLimit: Sendable {
    /// In the store's normal state the limit is at most so far above the last stored number.
    static let block: Int64 = 1024

    struct Content: Equatable, Sendable {
        /// No higher number was given out.
        var limit: Int64 = 0
        /// Numbers up to the limit may have been given out that are not in the store.
        var isAhead = false
    }

    private let descriptor: Int32

    /// - Parameter storePath: Of the store; the file's name is this with `-seq`.
    /// - Throws: ``EventStoreError`` of kind `inUse` where another daemon has it, `unusable` or `full` where it cannot be opened.
    init(storePath: String) throws(EventStoreError) {
        let path = storePath + "-seq"
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else {
            throw EventStoreError(
                errno == ENOSPC || errno == EDQUOT ? .full : .unusable,
                "\(path): cannot be opened: \(String(cString: strerror(errno)))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw EventStoreError(.inUse, "\(storePath): another earshotd writes to this store")
        }
    }

    deinit { close(descriptor) }

    /// Lets another daemon have the store.
    func unlock() { flock(descriptor, LOCK_UN) }

    /// Nothing where the file is new or not readable as what ``write(_:)`` wrote.
    func read() -> Content {
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        let words = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(whereSeparator: \.isWhitespace)
        guard words.count == 2, let limit = Int64(words[0]), limit >= 0 else { return Content() }
        return Content(limit: limit, isAhead: words[1] != "stored")
    }

    /// Always the same length, within one sector of the disk.
    func write(_ content: Content) throws(EventStoreError) {
        let digits = String(content.limit)
        let text =
            String(repeating: "0", count: max(0, 19 - digits.utf8.count)) + digits
            + (content.isAhead ? " beyond\n" : " stored\n")
        let bytes = Array(text.utf8)
        guard pwrite(descriptor, bytes, bytes.count, 0) == bytes.count, fdatasync(descriptor) == 0 else {
            throw EventStoreError(.failed, "the limit of sequence numbers: \(String(cString: strerror(errno)))")
        }
    }
}

/// Whether the file system of a path has no block left for this user.
func hasNoRoom(_ path: String) -> Bool {
    var information = statvfs()
    return statvfs(folder(of: path), &information) == 0 && information.f_bavail < 16
}

func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}
