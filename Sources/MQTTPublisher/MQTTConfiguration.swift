package import EventMessages
import Glibc

/// Where and how to publish.
package struct MQTTConfiguration: Sendable, Equatable {
    package struct TLS: Sendable, Equatable {
        /// Certificates of the authorities that vouch for the broker; nil for those of the system.
        package var authorityFile: String?
        /// Certificate and key that the broker knows this client by.
        package var certificateFile: String?
        package var keyFile: String?

        package init() {}
    }

    package var host: String
    package var port: Int
    /// Unique among the broker's clients.
    package var clientIdentifier: String
    /// What all topics begin with, without a slash at its end; unique among the daemons that use the broker.
    package var topic: String
    package var username: String?
    /// Its first line is the password.
    package var passwordFile: String?
    /// Nil for a connection that is not encrypted.
    package var tls: TLS?
    /// Home Assistant's discovery prefix, usually `homeassistant`; nil for no discovery.
    package var discoveryPrefix: String?
    /// Messages without an acknowledgement at most.
    package var window = 20
    /// Pause before the second attempt to connect; doubles up to `longestRetryDelay`.
    package var firstRetryDelay = Duration.seconds(1)
    package var longestRetryDelay = Duration.seconds(30)
    /// A broker that does not answer for so long is given up and tried again.
    package var answerTimeout = Duration.seconds(15)
    /// Where the number of the last acknowledged message is kept; nil keeps it in memory.
    package var positionPath: String?

    package init(host: String, port: Int, clientIdentifier: String, topic: String) {
        self.host = host
        self.port = port
        self.clientIdentifier = clientIdentifier
        self.topic = topic
    }

    /// - Throws: ``MQTTError`` where the password file cannot be read or is empty.
    func password() throws(MQTTError) -> String? {
        guard let passwordFile else { return nil }
        guard let file = fopen(passwordFile, "re") else {
            throw MQTTError("\(passwordFile): cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = fread(&bytes, 1, bytes.count, file)
        let line = bytes[..<count].prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
        guard !line.isEmpty else { throw MQTTError("\(passwordFile): holds no password in its first line") }
        return String(decoding: line, as: UTF8.self)
    }
}

/// The messages to publish, by number: the event store, or what is left of them in memory. Called on the publisher's
/// thread; may block.
package struct MessageLog: Sendable {
    /// The last number given out; 0 if there is none.
    package var lastSequence: @Sendable () -> Int64
    /// The next messages after a number, oldest first, at most `limit`; fewer than are missing from the log.
    package var messages: @Sendable (_ after: Int64, _ limit: Int) throws -> [SequencedMessage]

    package init(
        lastSequence: @escaping @Sendable () -> Int64,
        messages: @escaping @Sendable (_ after: Int64, _ limit: Int) throws -> [SequencedMessage]
    ) {
        self.lastSequence = lastSequence
        self.messages = messages
    }
}

/// Why publishing does not work; one line.
package struct MQTTError: Error, Equatable, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}
