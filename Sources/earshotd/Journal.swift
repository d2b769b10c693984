import CSystemd
import Foundation

/// systemd's journal, where each entry can have fields of its own.
enum Journal {
    /// Whether standard error goes to the journal: `JOURNAL_STREAM` names the device and inode of that stream, and may
    /// be left over from a parent whose standard error was another.
    static let isConnected: Bool = {
        let words = (ProcessInfo.processInfo.environment["JOURNAL_STREAM"] ?? "").split(separator: ":")
        var status = stat()
        guard words.count == 2, fstat(STDERR_FILENO, &status) == 0 else { return false }
        return UInt64(words[0]) == UInt64(status.st_dev) && UInt64(words[1]) == UInt64(status.st_ino)
    }()

    /// Sends an entry by the journal's own protocol.
    ///
    /// - Parameters:
    ///   - priority: As syslog has it, 0 to 7.
    ///   - fields: Beyond `MESSAGE` and `PRIORITY`; names in capitals, digits and `_`.
    /// - Returns: false where the journal did not take it.
    static func send(priority: Int, message: String, fields: [(name: String, value: String)]) -> Bool {
        let all = [("MESSAGE", message), ("PRIORITY", "\(priority)")] + fields.map { ($0.name, $0.value) }
        let assignments = all.map { Array("\($0.0)=\($0.1)".utf8) }
        var bytes = assignments.flatMap { $0 }
        return bytes.withUnsafeMutableBytes { bytes in
            var vectors: [iovec] = []
            var start = 0
            for assignment in assignments {
                vectors.append(iovec(iov_base: bytes.baseAddress! + start, iov_len: assignment.count))
                start += assignment.count
            }
            return sd_journal_sendv(vectors, CInt(vectors.count)) == 0
        }
    }

    /// A field's name for a key of a log entry's metadata: `EARSHOT_EVENT` for `event`.
    static func fieldName(_ key: String) -> String {
        let name = String(
            key.uppercased().unicodeScalars.map { scalar in
                ("A"..."Z").contains(scalar) || ("0"..."9").contains(scalar) ? Character(scalar) : "_"
            })
        return name.hasPrefix("EARSHOT_") ? name : "EARSHOT_" + name
    }
}
