import Foundation
import Logging

/// Writes each message to the journal with its metadata as fields, or as one line on standard error.
///
/// Metadata under a lower-case key is part of the line and a field `EARSHOT_KEY`; under the name of a field in capitals
/// it is a field only, since the message tells it in words.
struct LogWriter: LogHandler {
    let label: String
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level

    init(label: String, level: Logger.Level) {
        self.label = label
        logLevel = level
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    // Before Swift 6.2 there is only a swift-log without log events.
    #if compiler(>=6.2)
        func log(event: LogEvent) {
            write(event.level, event.message, event.metadata)
        }
    #else
        func log(
            level: Logger.Level, message: Logger.Message, metadata: Logger.Metadata?, source: String, file: String,
            function: String, line: UInt
        ) {
            write(level, message, metadata)
        }
    #endif

    private func write(_ level: Logger.Level, _ message: Logger.Message, _ explicit: Logger.Metadata?) {
        let all = metadata.merging(explicit ?? [:]) { $1 }.sorted { $0.key < $1.key }
        let words = all.filter { $0.key.first?.isUppercase != true }.map { " \($0.key)=\($0.value)" }.joined()
        let text = "\(message)\(words)".replacing("\n", with: " ")
        var prefix = "earshotd: \(level): "
        if Journal.isConnected {
            let fields = all.map { (name: Journal.fieldName($0.key), value: "\($0.value)") }
            if Journal.send(priority: Self.priority(of: level), message: text, fields: fields) { return }
            // Its stream may still take a line.
            prefix = "<\(Self.priority(of: level))>"
        }
        FileHandle.standardError.write(Data("\(prefix)\(text)\n".utf8))
    }

    /// The syslog priority that sd-daemon(3) defines for a line's prefix.
    private static func priority(of level: Logger.Level) -> Int {
        switch level {
        case .critical: 2
        case .error: 3
        case .warning: 4
        case .notice: 5
        case .info: 6
        case .debug, .trace: 7
        }
    }
}
