import TensorKernels

/// The columns that a streaming layer still needs, in one run of memory, oldest first, each padded with zeros in
/// frequency.
///
/// New columns are appended at the end; when the end of the memory is reached, the few that are still needed move to
/// the front. Column layout: `padding` rows of zeros, `frequencies` rows, `padding` rows of zeros; a row is [channels].
struct ColumnHistory {
    private let buffer: AlignedBuffer
    private let capacity: Int
    /// Numbers per column.
    let columnSize: Int
    /// Numbers before a column's first frequency.
    let margin: Int
    private(set) var begin = 0
    private(set) var end = 0

    /// - Parameters:
    ///   - kept: columns that may stay after each step.
    ///   - block: columns that are appended at most at once.
    init(kept: Int, block: Int, frequencies: Int, channels: Int, padding: Int) {
        columnSize = (frequencies + 2 * padding) * channels
        margin = padding * channels
        // Room for several blocks, so that moving to the front is rare.
        capacity = kept + 4 * block
        buffer = AlignedBuffer(count: capacity * columnSize)
    }

    var count: Int { end - begin }

    /// Forgets everything and puts `count` columns of zeros in.
    mutating func reset(zeroColumns count: Int) {
        buffer.fillWithZeros()
        begin = 0
        end = count
    }

    /// The first number of the oldest column, its padding included.
    var oldest: UnsafePointer<Float> { UnsafePointer(buffer.pointer + begin * columnSize) }

    /// Makes room for `count` columns at the end and counts them in.
    ///
    /// - Returns: the first number of the first new column, its padding (which is zero and must stay so) included.
    mutating func append(_ count: Int) -> UnsafeMutablePointer<Float> {
        if end + count > capacity {
            let kept = end - begin
            buffer.pointer.update(from: buffer.pointer + begin * columnSize, count: kept * columnSize)
            begin = 0
            end = kept
        }
        assert(end + count <= capacity, "more columns than the history was made for")
        defer { end += count }
        return buffer.pointer + end * columnSize
    }

    /// Drops the `count` oldest columns.
    mutating func drop(_ count: Int) {
        begin += count
        assert(begin <= end, "dropped columns that are not there")
    }
}
