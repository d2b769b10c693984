package import TensorKernels

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A safetensors file, mapped read-only; its header is checked whole before anything is read.
///
/// Unmapped on deinit. The file must not be shortened in place while it is mapped (replace it by renaming another
/// over it, as every installer does).
///
/// `@unchecked Sendable`: the mapping is read-only and never changes after `init`.
package final class SafetensorsFile: @unchecked Sendable {
    package let path: String
    /// String metadata of the header (`__metadata__`).
    package let metadata: [String: String]
    private let entries: [String: SafetensorsEntry]
    private let mapping: UnsafeRawBufferPointer
    private let dataBegin: Int

    /// - Throws: ``ModelError``, naming the file and where possible the tensor.
    package init(path: String) throws {
        let mapping = try Self.map(path)
        do {
            (entries, metadata, dataBegin) = try SafetensorsHeader.parse(mapping, path: path)
        } catch {
            munmap(UnsafeMutableRawPointer(mutating: mapping.baseAddress!), mapping.count)
            throw error
        }
        self.path = path
        self.mapping = mapping
    }

    deinit {
        munmap(UnsafeMutableRawPointer(mutating: mapping.baseAddress!), mapping.count)
    }

    /// Tensor names, sorted.
    package var names: [String] { entries.keys.sorted() }

    package func contains(_ name: String) -> Bool { entries[name] != nil }

    /// - Throws: ``ModelError`` where the tensor is missing.
    package func shape(of name: String) throws -> [Int] {
        try entry(name).shape
    }

    /// A tensor's elements, row-major, widened to `Float`.
    ///
    /// - Parameter shape: the shape it must have.
    /// - Throws: ``ModelError`` for a missing tensor, another shape, a type that is none of F32, F16 and BF16, or an
    ///   element that is not finite.
    package func floats(_ name: String, shape: [Int]) throws -> [Float] {
        let entry = try entry(name)
        guard entry.shape == shape else {
            throw ModelError(path: path, item: name, problem: "has shape \(entry.shape) instead of \(shape)")
        }
        return try floats(name, entry, elements: 0..<entry.elementCount)
    }

    /// A tensor of two dimensions whose row count is the file's choice (a bank).
    package func matrix(_ name: String, columnCount: Int) throws -> Matrix {
        let entry = try matrixEntry(name, columnCount: columnCount)
        return Matrix(
            rowCount: entry.shape[0], columnCount: columnCount,
            values: try floats(name, entry, elements: 0..<entry.elementCount))
    }

    /// Some rows of a tensor of two dimensions, in the order asked for, without reading the others (a word embedding).
    ///
    /// - Parameter indices: each at least 0 and below the tensor's row count.
    package func rows(_ indices: [Int], of name: String, columnCount: Int) throws -> Matrix {
        let entry = try matrixEntry(name, columnCount: columnCount)
        var values: [Float] = []
        values.reserveCapacity(indices.count * columnCount)
        for index in indices {
            guard (0..<entry.shape[0]).contains(index) else {
                throw ModelError(path: path, item: name, problem: "has no row \(index), only \(entry.shape[0]) rows")
            }
            values += try floats(name, entry, elements: index * columnCount..<(index + 1) * columnCount)
        }
        return Matrix(rowCount: indices.count, columnCount: columnCount, values: values)
    }

    /// A tensor without a copy where the file holds F32 at an aligned place, else widened. Not checked for elements
    /// that are not finite: that would read all of a tensor whose rows may be few in use.
    ///
    /// - Parameter shape: the shape it must have.
    /// - Throws: ``ModelError`` as ``floats(_:shape:)`` does.
    func view(_ name: String, shape: [Int]) throws -> TensorView {
        let entry = try entry(name)
        let bytes = mapping.baseAddress! + dataBegin + entry.begin
        guard entry.dataType == "F32", entry.shape == shape, entry.elementCount > 0,
            Int(bitPattern: bytes) % MemoryLayout<Float>.alignment == 0
        else { return TensorView(copying: try floats(name, shape: shape)) }
        return TensorView(pointer: bytes.assumingMemoryBound(to: Float.self), owner: self)
    }

    private func entry(_ name: String) throws -> SafetensorsEntry {
        guard let entry = entries[name] else { throw ModelError(path: path, item: name, problem: "is missing") }
        return entry
    }

    private func matrixEntry(_ name: String, columnCount: Int) throws -> SafetensorsEntry {
        let entry = try entry(name)
        guard entry.shape.count == 2, entry.shape[1] == columnCount else {
            throw ModelError(
                path: path, item: name, problem: "has shape \(entry.shape) instead of [any, \(columnCount)]")
        }
        return entry
    }

    private func floats(_ name: String, _ entry: SafetensorsEntry, elements: Range<Int>) throws -> [Float] {
        guard let type = FloatingPointStorage(rawValue: entry.dataType) else {
            throw ModelError(path: path, item: name, problem: "has type \(entry.dataType) instead of F32, F16 or BF16")
        }
        let begin = dataBegin + entry.begin + elements.lowerBound * type.byteCount
        let bytes = UnsafeRawBufferPointer(rebasing: mapping[begin..<begin + elements.count * type.byteCount])
        let values = [Float](unsafeUninitializedCapacity: elements.count) { buffer, count in
            type.widen(bytes, into: buffer)
            count = elements.count
        }
        if let index = values.firstIndex(where: { !$0.isFinite }) {
            throw ModelError(
                path: path, item: name, problem: "element \(elements.lowerBound + index) is \(values[index])")
        }
        return values
    }

    private static func map(_ path: String) throws -> UnsafeRawBufferPointer {
        // Non-blocking, so that a named pipe in the file's place is refused instead of waited for.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw ModelError(path: path, problem: String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw ModelError(path: path, problem: String(cString: strerror(errno)))
        }
        guard status.st_mode & S_IFMT == S_IFREG else { throw ModelError(path: path, problem: "is not a regular file") }
        let length = Int(status.st_size)
        guard length >= 8 else {
            throw ModelError(path: path, problem: "is \(length) bytes long, too short for a safetensors file")
        }
        guard let address = mmap(nil, length, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
            throw ModelError(path: path, problem: "cannot be mapped: \(String(cString: strerror(errno)))")
        }
        return UnsafeRawBufferPointer(start: address, count: length)
    }
}
