/// "Did you mean": the known word nearest to a misspelt one.
enum Suggestion {
    /// - Returns: A word at most a third of its letters away, nil if none is that near.
    static func nearest(to word: String, among known: [String]) -> String? {
        // No setting is as long; the distance would take its time.
        guard word.utf8.count <= 64 else { return nil }
        return known.map { ($0, distance(Array(word.lowercased()), Array($0))) }
            .filter { $0.1 <= max(1, $0.0.count / 3) }
            .min { $0.1 < $1.1 }?.0
    }

    /// Insertions, deletions, replacements and swaps of neighbours from one to the other ("optimal string alignment").
    static func distance(_ left: [Character], _ right: [Character]) -> Int {
        var beforePrevious: [Int] = []
        var previous = Array(0...right.count)
        for i in left.indices {
            var row = [i + 1]
            for j in right.indices {
                var best = min(previous[j] + (left[i] == right[j] ? 0 : 1), previous[j + 1] + 1, row[j] + 1)
                if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
                    best = min(best, beforePrevious[j - 1] + 1)
                }
                row.append(best)
            }
            beforePrevious = previous
            previous = row
        }
        return previous[right.count]
    }
}
