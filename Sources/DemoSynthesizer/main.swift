// Writes the demo recording: a minute of synthetic sounds for `make run`, the smoke run and the service test.
// Nothing in it was recorded; the same command gives the same samples everywhere.
import CSndfile
import Glibc

/// What is heard from when on, in seconds. Between the sounds there is digital silence.
let programme: [(start: Float, samples: [Float])] = [
    (3, Sounds.siren(seconds: 5)),
    (15, Sounds.alarmClock(seconds: 4)),
    (25, Sounds.ticking(seconds: 5)),
    (37, Sounds.knocking(seconds: 6)),
    (48, Sounds.rain(seconds: 5)),
]
let duration: Float = 60

/// Ends with one line on standard error.
func fail(_ message: String, status: Int32) -> Never {
    let line = Array("\(message)\n".utf8)
    _ = write(STDERR_FILENO, line, line.count)
    exit(status)
}

guard CommandLine.arguments.count == 2 else {
    fail("usage: DemoSynthesizer FILE.flac", status: 2)
}
let path = CommandLine.arguments[1]

var recording = [Float](repeating: 0, count: Int(duration * sampleRate))
for (start, samples) in programme {
    let first = Int(start * sampleRate)
    for (index, sample) in samples.enumerated() {
        recording[first + index] += sample
    }
}
let words = recording.map { Int16(max(-32_768, min(32_767, ($0 * 32_767).rounded()))) }

var format = SF_INFO()
format.samplerate = Int32(sampleRate)
format.channels = 1
format.format = Int32(SF_FORMAT_FLAC) | Int32(SF_FORMAT_PCM_16)
guard let file = sf_open(path, Int32(SFM_WRITE), &format) else {
    fail("\(path): \(String(cString: sf_strerror(nil)))", status: 1)
}
var compression = 1.0  // the smallest file: FLAC's level 8
sf_command(file, Int32(SFC_SET_COMPRESSION_LEVEL), &compression, Int32(MemoryLayout<Double>.size))
let written = sf_write_short(file, words, sf_count_t(words.count))
guard sf_close(file) == 0, written == words.count else {
    fail("\(path): only \(written) of \(words.count) samples were written", status: 1)
}
