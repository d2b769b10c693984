import Glibc

/// Looks for the truncations that libsndfile passes over in silence: it limits a WAV or AIFF to what the file holds,
/// and reads an Ogg stream up to its last whole page.
/// - Returns: What is missing, or `nil` where nothing is or the container is another one.
func containerDamage(descriptor: Int32) -> String? {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return nil }
    let fileSize = Int(status.st_size)
    guard let head = readBytes(descriptor, at: 0, count: 12), head.count == 12 else { return nil }
    switch (text(head, 0), text(head, 8)) {
    case ("RIFF", "WAVE"):
        return missingChunkBytes(descriptor, fileSize: fileSize, chunk: "data", isBigEndian: false)
    case ("RIFX", "WAVE"):
        return missingChunkBytes(descriptor, fileSize: fileSize, chunk: "data", isBigEndian: true)
    case ("FORM", "AIFF"), ("FORM", "AIFC"):
        return missingChunkBytes(descriptor, fileSize: fileSize, chunk: "SSND", isBigEndian: true)
    case ("OggS", _):
        return missingOggEnd(descriptor, fileSize: fileSize)
    default:
        return nil
    }
}

/// Walks RIFF or IFF chunks to the one with the samples.
private func missingChunkBytes(_ descriptor: Int32, fileSize: Int, chunk wanted: String, isBigEndian: Bool) -> String? {
    var offset = 12
    // A sane file has few chunks before its samples; a hostile one is not followed for ever.
    for _ in 0..<10_000 {
        guard let header = readBytes(descriptor, at: offset, count: 8), header.count == 8 else {
            return "no \(wanted) chunk"
        }
        let bytes = isBigEndian ? header[4..<8].reversed() : Array(header[4..<8])
        let size = bytes.reversed().reduce(0) { $0 << 8 | Int($1) }
        if text(header, 0) == wanted {
            // Programs that write to a pipe leave a size of 0 or close to the largest here: not known.
            if size == 0 || size >= 0x7FFF_0000 { return nil }
            let missing = offset + 8 + size - fileSize
            return missing > 0 ? "\(missing) of \(size) bytes of its samples are missing" : nil
        }
        offset += 8 + size + size % 2
    }
    return nil
}

/// The last page of an Ogg stream is marked; pages are at most 65,307 bytes long.
private func missingOggEnd(_ descriptor: Int32, fileSize: Int) -> String? {
    let start = max(0, fileSize - 2 * 65_307)
    guard let tail = readBytes(descriptor, at: start, count: fileSize - start) else { return nil }
    var index = tail.count - 27
    while index >= 0 {
        if tail[index] == 0x4F, text(tail, index) == "OggS", tail[index + 4] == 0 {
            let segmentCount = Int(tail[index + 26])
            let table = index + 27
            guard table + segmentCount <= tail.count else { return "its last page is cut off" }
            let end = table + segmentCount + tail[table..<table + segmentCount].reduce(0) { $0 + Int($1) }
            if end > tail.count { return "its last page is cut off" }
            return tail[index + 5] & 4 != 0 ? nil : "the page that ends an Ogg stream is missing"
        }
        index -= 1
    }
    return "the page that ends an Ogg stream is missing"
}

private func readBytes(_ descriptor: Int32, at offset: Int, count: Int) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    let got = pread(descriptor, &bytes, count, off_t(offset))
    return got < 0 ? nil : Array(bytes.prefix(got))
}

private func text(_ bytes: [UInt8], _ offset: Int) -> String {
    String(decoding: bytes[offset..<offset + 4], as: UTF8.self)
}
