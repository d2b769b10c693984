/// A tensor's elements where they lie: in a mapped file, or in memory where the file holds another type than F32.
///
/// `@unchecked Sendable`: the elements are never written, and the view keeps their owner alive.
struct TensorView: @unchecked Sendable {
    /// [shape], row-major; valid while the view lives.
    let pointer: UnsafePointer<Float>
    private let owner: AnyObject

    init(pointer: UnsafePointer<Float>, owner: AnyObject) {
        self.pointer = pointer
        self.owner = owner
    }

    /// Elements in memory of their own.
    init(copying values: [Float]) {
        let storage = Storage(values)
        self.init(pointer: UnsafePointer(storage.pointer), owner: storage)
    }

    private final class Storage {
        let pointer: UnsafeMutablePointer<Float>

        init(_ values: [Float]) {
            pointer = .allocate(capacity: max(values.count, 1))
            pointer.initialize(from: values, count: values.count)
        }

        deinit { pointer.deallocate() }
    }
}
