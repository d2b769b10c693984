/// Size of a maximum matching of a bipartite graph, by shortest augmenting paths.
///
/// Iterative, so that a long chain of events cannot exhaust the stack of a small thread.
///
/// - Parameters:
///   - neighbours: For each left vertex the right vertices that it may be matched with, each in 0 ..< rightCount.
///   - rightCount: Number of right vertices.
package func maximumMatchingSize(neighbours: [[Int]], rightCount: Int) -> Int {
    var leftOfRight = [Int?](repeating: nil, count: rightCount)
    var size = 0
    /// The left vertex from which each right vertex was reached, valid where `visit` holds the number of this search.
    var reachedFrom = [Int](repeating: 0, count: rightCount)
    var visit = [Int](repeating: -1, count: rightCount)
    /// The right vertex each left vertex is matched with.
    var rightOfLeft = [Int?](repeating: nil, count: neighbours.count)

    for start in neighbours.indices {
        var queue = [start]
        var position = 0
        var end: Int?
        search: while position < queue.count {
            let left = queue[position]
            position += 1
            for right in neighbours[left] where visit[right] != start {
                visit[right] = start
                reachedFrom[right] = left
                guard let next = leftOfRight[right] else {
                    end = right
                    break search
                }
                queue.append(next)
            }
        }
        guard var right = end else { continue }
        size += 1
        // Turns the path over, from its free end back to `start`.
        while true {
            let left = reachedFrom[right]
            let previous = rightOfLeft[left]
            leftOfRight[right] = left
            rightOfLeft[left] = right
            guard let previous else { break }
            right = previous
        }
    }
    return size
}
