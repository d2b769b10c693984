/// A pattern for names: `*` stands for any run of characters, `?` for one; all else, case included, for itself.
package struct Glob: Sendable, Hashable {
    private let pattern: [Character]

    package init(_ pattern: String) {
        self.pattern = Array(pattern)
    }

    /// Whether the whole name matches. Takes at most (pattern length x name length) comparisons.
    package func matches(_ name: String) -> Bool {
        let name = Array(name)
        var patternIndex = 0
        var nameIndex = 0
        // Where to go on if what follows the last star does not fit: that star swallows one more character.
        var afterStar: Int?
        var swallowed = 0
        while nameIndex < name.count {
            if patternIndex < pattern.count, pattern[patternIndex] == "*" {
                patternIndex += 1
                afterStar = patternIndex
                swallowed = nameIndex
            } else if patternIndex < pattern.count,
                pattern[patternIndex] == "?" || pattern[patternIndex] == name[nameIndex]
            {
                patternIndex += 1
                nameIndex += 1
            } else if let afterStar {
                swallowed += 1
                patternIndex = afterStar
                nameIndex = swallowed
            } else {
                return false
            }
        }
        return pattern[patternIndex...].allSatisfy { $0 == "*" }
    }
}
