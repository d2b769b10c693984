import EventMessages
import Foundation
import NIOCore

@testable import EventServer

extension FuzzTarget {
    /// Bytes as they come from a client: through the framer in pieces, then each line through the request parser.
    static let request = FuzzTarget(name: "request") { bytes in
        let limit = 1024
        let lines = try framed(bytes, limit: limit, pieces: { _ in bytes.count })
        try demand(lines == split(bytes, limit: limit), "the framer cuts elsewhere than at newlines")
        // Pieces as small and as uneven as the input says.
        let uneven = try framed(bytes, limit: limit) { 1 + Int(bytes[$0]) % 97 }
        try demand(uneven == lines, "lines depend on how the bytes came in")
        for case .line(let line) in lines { try parse(line) }
    }

    private static func framed(
        _ bytes: [UInt8], limit: Int, pieces: (_ offset: Int) -> Int
    ) throws -> [LineFramer.Line] {
        var framer = LineFramer(maximumLength: limit)
        var lines: [LineFramer.Line] = []
        var offset = 0
        while offset < bytes.count {
            let end = min(bytes.count, offset + pieces(offset))
            var piece = ByteBuffer(bytes: bytes[offset..<end])
            framer.append(&piece)
            while let line = framer.next() { lines.append(line) }
            try demand(framer.heldByteCount <= limit, "the framer holds \(framer.heldByteCount) bytes")
            offset = end
        }
        if let rest = framer.remainder() { lines.append(rest) }
        return lines
    }

    /// The same by the plainest means.
    private static func split(_ bytes: [UInt8], limit: Int) -> [LineFramer.Line] {
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines.map { $0.count > limit ? .tooLong : .line(Array($0)) }
    }

    private static func parse(_ line: [UInt8]) throws {
        let reply: [UInt8]
        let id: JSONValue
        do throws(RequestError) {
            let request = try Request(line: line)
            id = request.id
            let answer: JSONValue = ["id": request.id, "result": .null]
            reply = answer.line
            if case .subscribe(let filter, _) = request.method {
                for header in headers { _ = filter.matches(header) }
            }
        } catch {
            try demandOneLine(error.code.rawValue)
            id = error.id
            reply = error.line
        }
        try demand(reply.last == UInt8(ascii: "\n"), "a reply without its newline")
        try demand(reply.dropLast().allSatisfy { $0 >= 0x20 && $0 != 0x7F }, "a reply of more than one line")
        let read = try JSONSerialization.jsonObject(with: Data(reply)) as? [String: Any]
        try demand(read?["id"] != nil, "a reply that is no object with an id")
        try demand(try JSONValue(text: Array(reply))["id"] == id, "the id does not come back as it was")
    }

    private static let headers = ["dog", "glass breaking", "", "Türklingel 🔔"].map { label in
        MessageHeader(
            type: .onset, source: "mic-0",
            event: .init(name: "e", label: label, score: 0.5, onset: Timestamp(millisecondsSinceEpoch: 0)))
    }
}
