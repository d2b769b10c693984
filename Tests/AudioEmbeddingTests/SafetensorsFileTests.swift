import AudioEmbedding
import Foundation
import TensorKernels
import TestSupport
import Testing

@Suite struct SafetensorsFileTests {
    private func open(_ bytes: [UInt8]) throws -> SafetensorsFile {
        try withTemporaryDirectory { directory in
            try write(bytes, to: directory + "/x.safetensors")
            return try SafetensorsFile(path: directory + "/x.safetensors")
        }
    }

    /// The error that opening the bytes gives.
    private func problem(_ bytes: [UInt8]) throws -> String {
        let error = try #require(throws: ModelError.self) { try open(bytes) }
        #expect(error.path.hasSuffix("x.safetensors"))
        #expect(!error.description.contains("\n"))
        return error.description
    }

    @Test func readsTensorsAndMetadata() throws {
        let header =
            #"{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,1],"data_offsets":[4,12]},"#
            + #""a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}"#
        let data: [UInt8] = [0x80, 0x3F, 0x00, 0xC0, 0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0]
        let file = try open(safetensors(header: header, data: data))
        #expect(file.names == ["a", "b"])
        #expect(file.metadata == ["format": "pt"])
        #expect(try file.floats("a", shape: [2]) == [1, -2])
        #expect(try file.floats("b", shape: [2, 1]) == [1, -2])
        #expect(try file.matrix("b", columnCount: 1).values == [1, -2])
        #expect(try file.rows([1, 0, 1], of: "b", columnCount: 1).values == [-2, 1, -2])
        #expect(file.contains("a") && !file.contains("c"))
    }

    /// Every half against the definition of IEEE binary16, computed in double precision.
    @Test func widensEveryHalfExactly() throws {
        let halves = (0...UInt16.max).filter { $0 & 0x7C00 != 0x7C00 }
        let data = halves.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
        let header = #"{"h":{"dtype":"F16","shape":[\#(halves.count)],"data_offsets":[0,\#(data.count)]}}"#
        let floats = try open(safetensors(header: header, data: data)).floats("h", shape: [halves.count])
        for (half, float) in zip(halves, floats) {
            let exponent = Int(half >> 10) & 31
            let mantissa = Double(half & 1023) / 1024
            var value = exponent == 0 ? mantissa / 16384 : 1 + mantissa
            for _ in 0..<max(exponent - 15, 0) { value *= 2 }
            if exponent > 0 { for _ in 0..<max(15 - exponent, 0) { value /= 2 } }
            let expected = Float(half & 0x8000 == 0 ? value : -value)
            guard float.bitPattern == expected.bitPattern else {
                Issue.record("half \(half): \(float) instead of \(expected)")
                return
            }
        }
    }

    @Test func wrongRequestsNameFileAndTensor() throws {
        let file = try open(safetensors([("w", [2, 3], [1, 2, 3, 4, 5, .nan])]))
        for (request, text) in [
            ({ _ = try file.floats("v", shape: [1]) }, "v: is missing"),
            ({ _ = try file.floats("w", shape: [3, 2]) }, "w: has shape [2, 3] instead of [3, 2]"),
            ({ _ = try file.floats("w", shape: [2, 3]) }, "w: element 5 is nan"),
            ({ _ = try file.matrix("w", columnCount: 2) }, "w: has shape [2, 3] instead of [any, 2]"),
            ({ _ = try file.rows([2], of: "w", columnCount: 3) }, "w: has no row 2, only 2 rows"),
        ] as [(() throws -> Void, String)] {
            let error = #expect(throws: ModelError.self) { try request() }
            #expect(error?.description.hasSuffix("x.safetensors: " + text) == true, "\(String(describing: error))")
        }
        let integers = try open(
            safetensors(
                header: #"{"i":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#, data: .init(repeating: 0, count: 8))
        )
        let error = #expect(throws: ModelError.self) { try integers.floats("i", shape: [1]) }
        #expect(error?.problem == "has type I64 instead of F32, F16 or BF16")
    }

    @Test(arguments: [
        ("", "too short"), ("1234567", "too short"), ("\u{1}\0\0\0\0\0\0\0", "does not fit"),
        ("\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}{}", "does not fit"), ("\0\0\0\0\0\0\0\0", "is not JSON"),
        ("\u{2}\0\0\0\0\0\0\0[]", "header is not a safetensors header"),
        ("\u{2}\0\0\0\0\0\0\0{}x", "1 bytes after its last tensor"),
    ])
    func refusesWhatIsNoSafetensorsFile(text: String, expected: String) throws {
        let found = try problem(Array(text.utf8))
        #expect(found.contains(expected), "\(found)")
    }

    @Test(arguments: [
        (#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#, "is not JSON"),
        (#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,400]}}"#, "w: data_offsets 0 to 400 lie outside"),
        (#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}"#, "w: data_offsets -4 to 0 lie outside"),
        (#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, "w: data_offsets 4 to 0 lie outside"),
        (#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0]}}"#, "w: data_offsets has 1 numbers"),
        (#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,9223372036854775807]}}"#, "lie outside"),
        (#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,9223372036854775808]}}"#, "header"),
        (#"{"w":{"dtype":"F32","shape":[1e99],"data_offsets":[0,4]}}"#, "header"),
        (#"{"w":{"dtype":"F32","shape":[0.5],"data_offsets":[0,4]}}"#, "header"),
        (#"{"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, "w: shape [-1] is impossible"),
        (#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, "w: shape [2] of F32 does not fill its 4 bytes"),
        (
            #"{"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}"#,
            "w: shape [4294967296, 4294967296] is impossible"
        ),
        (
            #"{"w":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}}"#,
            "does not fill its 4 bytes"
        ),
        (#"{"w":{"dtype":"F7","shape":[1],"data_offsets":[0,4]}}"#, "w: type 'F7' is unknown"),
        (#"{"w":{"shape":[1],"data_offsets":[0,4]}}"#, "w.dtype is missing"),
        (#"{"w":{"dtype":"F32","shape":"1","data_offsets":[0,4]}}"#, "w.shape"),
        (
            #"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"w":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}"#,
            "w: overlaps another tensor"
        ),
        (
            #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}"#,
            "w: begins at 2, leaving a hole from 1"
        ),
        ("{\"a\\nb\":{\"dtype\":\"F7\",\"shape\":[1],\"data_offsets\":[0,4]}}", "a b: type 'F7' is unknown"),
        (#"{"__metadata__":{"x":1}}"#, "header"), (String(repeating: "[", count: 100_000), "header"),
        (#"{"w":"# + String(repeating: #"{"a":"#, count: 50_000), "header"),
    ])
    func refusesHostileHeaders(header: String, expected: String) throws {
        let found = try problem(safetensors(header: header, data: [0, 0, 0, 0]))
        #expect(found.contains(expected), "\(found)")
    }

    @Test func refusesForgedLengthsAndTruncation() throws {
        let whole = safetensors([("w", [4], [1, 2, 3, 4])])
        for count in 0..<whole.count {
            let found = try problem(Array(whole.prefix(count)))
            #expect(!found.isEmpty)
        }
        for declared in [UInt64.max, UInt64(Int.max), 1 << 32, 100_000_001, 57] {
            let found = try problem(safetensors(header: "{}", data: [], declaredLength: declared))
            #expect(found.contains("does not fit"), "\(found)")
        }
    }

    @Test func everyFlippedHeaderByteIsReadOrRefused() throws {
        let whole = safetensors([("weight", [2, 2], [1, 2, 3, 4])])
        var generator = SeededGenerator(seed: 1)
        for position in 0..<(whole.count - 16) {
            var bytes = whole
            bytes[position] = UInt8.random(in: 0...255, using: &generator)
            do {
                _ = try open(bytes).floats("weight", shape: [2, 2])
            } catch is ModelError {}
        }
    }

    @Test func refusesWhatIsNoFile() throws {
        for (path, expected) in [
            ("/nonexistent/x", "No such file"), ("/", "is not a regular file"), ("/dev/null", "is not a regular file"),
        ] {
            let error = try #require(throws: ModelError.self) { try SafetensorsFile(path: path) }
            #expect(error.path == path && error.problem.contains(expected), "\(error)")
        }
    }

    #if os(Linux)
        @Test func unmapsWhenReleased() throws {
            try withTemporaryDirectory { directory in
                let path = directory + "/mapped.safetensors"
                try write(safetensors([("w", [1], [1])]), to: path)
                func isMapped() throws -> Bool {
                    // Read to the end: the kernel gives this file in pieces.
                    let maps = try #require(FileHandle(forReadingAtPath: "/proc/self/maps"))
                    return String(decoding: try maps.readToEnd() ?? Data(), as: UTF8.self).contains(path)
                }
                var file: SafetensorsFile? = try SafetensorsFile(path: path)
                #expect(try isMapped())
                #expect(file?.names == ["w"])
                file = nil
                #expect(try !isMapped())
                // Nor does a file that is refused stay mapped.
                try write(safetensors(header: "[]", data: []), to: path)
                #expect(throws: ModelError.self) { try SafetensorsFile(path: path) }
                #expect(try !isMapped())
            }
        }
    #endif
}
