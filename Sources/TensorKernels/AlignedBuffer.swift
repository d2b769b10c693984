/// Numbers at a fixed, 64-byte aligned address for as long as the object lives: weights, and the state and scratch of
/// a stage.
///
/// A class, so that several owners can share weights; kernels get the pointer, so no element access goes through the
/// object. `@unchecked Sendable`: weights are written once before they are shared, scratch belongs to one stage.
package final class AlignedBuffer: @unchecked Sendable {
    package let pointer: UnsafeMutablePointer<Float>
    package let count: Int

    /// - Parameter count: ≥ 0; every element starts as 0.
    package init(count: Int) {
        let raw = UnsafeMutableRawPointer.allocate(byteCount: max(count, 1) * 4, alignment: 64)
        pointer = raw.initializeMemory(as: Float.self, repeating: 0, count: max(count, 1))
        self.count = count
    }

    package convenience init(_ values: [Float]) {
        self.init(count: values.count)
        for (index, value) in values.enumerated() { pointer[index] = value }
    }

    deinit { UnsafeMutableRawPointer(pointer).deallocate() }

    package func fillWithZeros() {
        pointer.update(repeating: 0, count: count)
    }

    /// A copy, for tests and diagnostics.
    package var values: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }
}
