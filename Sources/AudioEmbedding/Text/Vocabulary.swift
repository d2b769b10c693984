import Foundation

/// The pieces of a WordPiece vocabulary (`vocab.txt`: one piece per line, the id is the line number from 0).
///
/// Pieces are compared by their UTF-8 bytes: as a `String` key, pieces that are canonically equivalent would be one.
/// Two open-addressing tables over the file's bytes load in a few milliseconds, where a dictionary of 30,000 strings
/// takes tens.
struct Vocabulary: Sendable {
    private let text: [UInt8]
    /// Where each piece stands in `text`; for continuing pieces without their `##`.
    private var ranges: [Range<Int32>] = []
    private var initial: Table
    private var continuing: Table

    /// Number of pieces.
    var count: Int { ranges.count }

    /// - Throws: ``ModelError`` for a file that cannot be read or is no vocabulary.
    init(path: String) throws {
        do {
            text = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        } catch {
            throw ModelError(path: path, problem: "cannot be read")
        }
        guard text.count <= Vocabulary.maximumBytes else {
            throw ModelError(path: path, problem: "has \(text.count) bytes; this is no vocab.txt")
        }
        let newline = UInt8(ascii: "\n")
        let lineCount = text.reduce(into: 1) { $0 += $1 == newline ? 1 : 0 }
        initial = Table(capacity: lineCount)
        continuing = Table(capacity: lineCount)
        ranges.reserveCapacity(lineCount)

        let hashMark = UInt8(ascii: "#")
        var start = 0
        while start < text.count {
            let end = text[start...].firstIndex(of: newline) ?? text.count
            var pieceEnd = end
            if pieceEnd > start, text[pieceEnd - 1] == UInt8(ascii: "\r") { pieceEnd -= 1 }
            let continues = pieceEnd - start > 2 && text[start] == hashMark && text[start + 1] == hashMark
            let range = Int32(continues ? start + 2 : start)..<Int32(pieceEnd)
            let id = Int32(ranges.count)
            ranges.append(range)
            let slot = Vocabulary.hash(text[Int(range.lowerBound)..<Int(range.upperBound)])
            if continues { continuing.insert(id, hash: slot) } else { initial.insert(id, hash: slot) }
            start = end + 1
        }
    }

    /// The id of a piece, or nil.
    /// - Parameter continues: whether the piece stands inside a word (written `##piece` in the file).
    func id(of piece: ArraySlice<UInt8>, continues: Bool) -> Int32? {
        let table = continues ? continuing : initial
        return table.find(hash: Vocabulary.hash(piece)) { candidate in
            let range = ranges[Int(candidate)]
            return text[Int(range.lowerBound)..<Int(range.upperBound)].elementsEqual(piece)
        }
    }

    /// The id of a whole word such as `[CLS]`, or nil.
    func id(of word: String) -> Int32? { id(of: Array(word.utf8)[...], continues: false) }

    /// FNV-1a, <http://www.isthe.com/chongo/tech/comp/fnv/>.
    private static func hash(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }

    private static let maximumBytes = 64 * 1024 * 1024

    /// Ids in slots of a power of two, collisions in the next free slot.
    private struct Table: Sendable {
        private var slots: [Int32]

        init(capacity: Int) {
            var slotCount = 16
            while slotCount < 2 * capacity { slotCount *= 2 }
            slots = [Int32](repeating: -1, count: slotCount)
        }

        mutating func insert(_ id: Int32, hash: UInt64) {
            var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
            while slots[slot] >= 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = id
        }

        /// The last inserted id that matches: as in a dictionary, a later line replaces an equal earlier one.
        func find(hash: UInt64, matching matches: (Int32) -> Bool) -> Int32? {
            var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
            var found: Int32?
            while slots[slot] >= 0 {
                if matches(slots[slot]) { found = max(found ?? 0, slots[slot]) }
                slot = (slot + 1) & (slots.count - 1)
            }
            return found
        }
    }
}
