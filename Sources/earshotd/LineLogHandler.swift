import Foundation
import Logging

/// Writes each message as one line on standard error: with its syslog priority for the journal, in words for a terminal.
struct LineLogHandler: LogHandler {
    private static let isJournal = ProcessInfo.processInfo.environment["JOURNAL_STREAM"] != nil

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
        let all = metadata.merging(explicit ?? [:]) { $1 }
        let fields = all.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
        let prefix = Self.isJournal ? "<\(Self.priority(of: level))>" : "earshotd: \(level): "
        let text = "\(message)\(fields)".replacing("\n", with: " ")
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
