import Foundation

/// Splits text into the word pieces that BERT models read.
///
/// Equal to Hugging Face's uncased `BertTokenizer` (`tokenizers`: `BertNormalizer`, `BertPreTokenizer`, `WordPiece`):
/// clean the text, set CJK ideographs apart, strip accents, lower-case, split at white space and punctuation, then take
/// the longest known piece from the left, again and again. The golden tests compare both on every code point.
package struct WordPieceTokenizer: Sendable {
    private let vocabulary: Vocabulary
    private let unknown: Int32
    private let classify: Int32
    private let separate: Int32
    /// Tokens that stand for themselves wherever they are written out in the text, with their UTF-8 bytes.
    private let special: [(text: [UInt8], id: Int32)]

    /// Longer words become one `[UNK]`; in Unicode scalars (`max_input_chars_per_word`).
    private static let maximumWordLength = 100

    /// Number of pieces in the vocabulary; ids are below it.
    package var vocabularySize: Int { vocabulary.count }

    /// - Parameter vocabularyPath: a `vocab.txt` with one piece per line.
    /// - Throws: ``ModelError`` for a file that cannot be read or lacks `[UNK]`, `[CLS]` or `[SEP]`.
    package init(vocabularyPath: String) throws {
        let vocabulary = try Vocabulary(path: vocabularyPath)
        func required(_ token: String) throws -> Int32 {
            guard let id = vocabulary.id(of: token) else {
                throw ModelError(
                    path: vocabularyPath, problem: "has no line \(token); this is no vocabulary of a BERT model")
            }
            return id
        }
        unknown = try required("[UNK]")
        classify = try required("[CLS]")
        separate = try required("[SEP]")
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].compactMap { token in
            vocabulary.id(of: token).map { (Array(token.utf8), $0) }
        }
        self.vocabulary = vocabulary
    }

    /// The ids of a text: `[CLS]`, its pieces, `[SEP]`.
    ///
    /// - Parameter maximumLength: ≥ 2; pieces that do not fit are dropped at the end, before `[SEP]`.
    package func encode(_ text: String, maximumLength: Int) -> [Int32] {
        precondition(maximumLength >= 2, "no room for [CLS] and [SEP] in \(maximumLength) tokens")
        var ids = [classify]
        let bytes = Array(text.utf8)
        var segmentStart = 0
        var position = 0
        while let bracket = bytes[position...].firstIndex(of: UInt8(ascii: "[")) {
            if let token = special.first(where: { bytes[bracket...].starts(with: $0.text) }) {
                append(segment: bytes[segmentStart..<bracket], to: &ids, maximumLength: maximumLength)
                ids.append(token.id)
                position = bracket + token.text.count
                segmentStart = position
            } else {
                position = bracket + 1
            }
        }
        append(segment: bytes[segmentStart...], to: &ids, maximumLength: maximumLength)
        if ids.count > maximumLength - 1 { ids.removeSubrange((maximumLength - 1)...) }
        ids.append(separate)
        return ids
    }

    /// Appends the pieces of a text without special tokens; stops when `ids` is full.
    private func append(segment: ArraySlice<UInt8>, to ids: inout [Int32], maximumLength: Int) {
        guard !segment.isEmpty, ids.count < maximumLength else { return }
        var cleaned = String.UnicodeScalarView()
        for scalar in String(decoding: segment, as: UTF8.self).unicodeScalars {
            switch scalar {
            case "\t", "\n", "\r": cleaned.append(" ")
            case "\0", "\u{FFFD}": break
            case _ where scalar.isRemovedControl: break
            case _ where scalar.properties.isWhitespace: cleaned.append(" ")
            case _ where scalar.isIdeograph:
                cleaned.append(" ")
                cleaned.append(scalar)
                cleaned.append(" ")
            default: cleaned.append(scalar)
            }
        }
        let cleanedText = String(cleaned)
        let isASCII = cleanedText.utf8.allSatisfy { $0 < 0x80 }
        let decomposed = isASCII ? cleanedText : cleanedText.decomposedStringWithCanonicalMapping

        var word = Word()
        for scalar in decomposed.unicodeScalars where isASCII || !scalar.isStrippedAccent {
            for lower in scalar.properties.lowercaseMapping.unicodeScalars {
                let isPunctuation = lower.isBertPunctuation
                if isPunctuation || lower.properties.isWhitespace {
                    append(&word, to: &ids)
                    guard ids.count < maximumLength else { return }
                }
                if isPunctuation {
                    word.append(lower)
                    append(&word, to: &ids)
                } else if !lower.properties.isWhitespace {
                    word.append(lower)
                }
            }
        }
        append(&word, to: &ids)
    }

    /// A word with the places of its scalars.
    private struct Word {
        var bytes: [UInt8] = []
        /// Offset of each scalar in `bytes`.
        var starts: [Int] = []

        mutating func append(_ scalar: Unicode.Scalar) {
            starts.append(bytes.count)
            bytes.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        }
    }

    /// Appends the pieces of one word, or `[UNK]` if any part of it has none, and empties it.
    private func append(_ word: inout Word, to ids: inout [Int32]) {
        defer {
            word.bytes.removeAll(keepingCapacity: true)
            word.starts.removeAll(keepingCapacity: true)
        }
        guard !word.bytes.isEmpty else { return }
        guard word.starts.count <= WordPieceTokenizer.maximumWordLength else { return ids.append(unknown) }
        let firstId = ids.count
        var start = 0
        while start < word.starts.count {
            var end = word.starts.count
            var found: Int32?
            while end > start {
                let byteEnd = end == word.starts.count ? word.bytes.count : word.starts[end]
                found = vocabulary.id(of: word.bytes[word.starts[start]..<byteEnd], continues: start > 0)
                if found != nil { break }
                end -= 1
            }
            guard let found else {
                ids.removeSubrange(firstId...)
                return ids.append(unknown)
            }
            ids.append(found)
            start = end
        }
    }
}

/// The character classes of `tokenizers`, whose tables are those of Unicode 8: a later character has no class there,
/// so it is neither removed nor splits a word. Asking for a scalar's age gives the same answer on every toolchain.
extension Unicode.Scalar {
    fileprivate var category8: Unicode.GeneralCategory? {
        if value < 0x80 { return properties.generalCategory }
        // Classified otherwise since Unicode 8.
        switch value {
        case 0x1734, 0x1171E: return .nonspacingMark
        case 0x166D, 0x111C9: return .otherPunctuation
        case 0x1885, 0x1886, 0xA9BD: return .otherLetter
        default: break
        }
        guard let age = properties.age, (age.major, age.minor) <= (8, 0) else { return nil }
        return properties.generalCategory
    }

    /// A control or format character that cleaning removes.
    fileprivate var isRemovedControl: Bool {
        switch category8 {
        case .control, .format, .privateUse: true
        default: false
        }
    }

    /// A nonspacing mark, as accents are after decomposition.
    fileprivate var isStrippedAccent: Bool { value >= 0x80 && category8 == .nonspacingMark }

    fileprivate var isBertPunctuation: Bool {
        if value < 0x80 {
            // All of ASCII's symbols count, `$` and `+` too.
            return switch value {
            case 33...47, 58...64, 91...96, 123...126: true
            default: false
            }
        }
        return switch category8 {
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
            .finalPunctuation, .otherPunctuation:
            true
        default: false
        }
    }

    /// Ideographs are words of their own. The ranges are those of BERT, with the slip of `tokenizers` in the last but
    /// two (U+2B920 in place of U+2B820).
    fileprivate var isIdeograph: Bool {
        switch value {
        case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F,
            0x2B920...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F:
            true
        default: false
        }
    }
}
