import DaemonConfiguration

extension FuzzTarget {
    /// The text of a configuration file.
    static let configuration = FuzzTarget(name: "configuration") { bytes in
        guard let text = String(validating: bytes, as: UTF8.self) else { return }
        do {
            try examine(try DaemonConfiguration(text: text, path: "/etc/earshot/earshot.yaml"))
        } catch let error as ConfigurationError {
            try demand(!error.problems.isEmpty, "refused without a reason")
            let lineCount = text.utf8.count { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") } + 2
            for problem in error.problems {
                try demandOneLine(problem.description)
                // YAML ends lines at other characters too.
                let isASCII = text.utf8.allSatisfy { $0 < 0x80 }
                try demand(!isASCII || (0...lineCount).contains(problem.line), "line \(problem.line) of \(lineCount)")
            }
        }
    }

    /// What the daemon takes for granted.
    private static func examine(_ configuration: DaemonConfiguration) throws {
        try demand(!configuration.sources.isEmpty, "no source")
        try demand(
            Set(configuration.sources.map(\.name)).count == configuration.sources.count, "two sources of one name")
        for source in configuration.sources {
            try demand(!source.name.isEmpty && source.name.utf8.count <= 64, "source name \(source.name)")
            try demandOneLine(source.device)
        }
        try demand(configuration.socket.clientQueueLimit > 0, "client_queue")
        try demand(configuration.socket.maximumClients > 0, "maximum_clients")
        try demand(configuration.socket.stallTimeout > .zero, "stall_timeout")
        try demand(configuration.socket.mode <= 0o777, "mode")
        try demand((1...300).contains(configuration.ringLength), "ring")
        let detection = configuration.detection
        if let on = detection.onThreshold { try demand((0...1).contains(on), "on") }
        if let off = detection.offThreshold { try demand((0...1).contains(off), "off") }
        for time in [detection.medianFilterLength, detection.minimumEventLength, detection.cooldown] {
            if let time { try demand(time.isFinite && time >= 0, "a time of \(time) s") }
        }
    }
}
