import CMosquitto
import Glibc

/// One connection to the broker, from its beginning to its loss. Belongs to one thread: nothing happens outside the calls
/// to it, and what the broker did is in ``takeEvents()`` afterwards.
final class MQTTConnection {
    enum Event: Equatable {
        case accepted
        /// With the broker's reason.
        case refused(String)
        case lost(String)
        /// A message published with quality of service 1 is the broker's now.
        case acknowledged(Int32)
        /// Only subscriptions get messages.
        case message(topic: String, isEmpty: Bool)
    }

    private static let isLibraryReady: Bool = mosquitto_lib_init() == mosquittoSuccess

    private let handle: OpaquePointer
    private let peer: String
    private var events: [Event] = []
    private var lastLibraryError: String?

    /// Prepares a connection; ``open(_:)`` makes it.
    ///
    /// - Parameter will: Published by the broker, retained, when it loses this client.
    /// - Throws: ``MQTTError`` where a file of the configuration is wrong.
    init(_ configuration: MQTTConfiguration, will: (topic: String, payload: String)) throws(MQTTError) {
        guard Self.isLibraryReady, let handle = mosquitto_new(configuration.clientIdentifier, true, nil) else {
            throw MQTTError("libmosquitto cannot be used: \(String(cString: strerror(errno)))")
        }
        self.handle = handle
        peer = "\(configuration.host):\(configuration.port)"
        mosquitto_user_data_set(handle, Unmanaged.passUnretained(self).toOpaque())
        mosquitto_connect_callback_set(handle) { _, context, code in
            MQTTConnection.from(context).connected(code)
        }
        mosquitto_disconnect_callback_set(handle) { _, context, code in
            MQTTConnection.from(context).disconnected(code)
        }
        mosquitto_publish_callback_set(handle) { _, context, identifier in
            MQTTConnection.from(context).events.append(.acknowledged(identifier))
        }
        mosquitto_message_callback_set(handle) { _, context, message in
            guard let message else { return }
            MQTTConnection.from(context).events.append(
                .message(topic: String(cString: message.pointee.topic), isEmpty: message.pointee.payloadlen == 0))
        }
        mosquitto_log_callback_set(handle) { _, context, level, text in
            // The texts of OpenSSL come only this way.
            guard level == Int32(MOSQ_LOG_ERR), let text else { return }
            MQTTConnection.from(context).lastLibraryError = String(cString: text)
        }
        // Messages are small, and each waits for an answer.
        mosquitto_int_option(handle, MOSQ_OPT_TCP_NODELAY, 1)
        mosquitto_max_inflight_messages_set(handle, UInt32(configuration.window))
        try check(
            will.payload.withCString {
                mosquitto_will_set(handle, will.topic, Int32(will.payload.utf8.count), $0, 1, true)
            }, "the topic \(will.topic)")
        if let username = configuration.username {
            try check(mosquitto_username_pw_set(handle, username, try configuration.password()), "username")
        }
        if let tls = configuration.tls {
            for case let file? in [tls.authorityFile, tls.certificateFile, tls.keyFile] where access(file, R_OK) != 0 {
                throw MQTTError("\(file): cannot be read: \(String(cString: strerror(errno)))")
            }
            let code = mosquitto_tls_set(
                handle, tls.authorityFile, tls.authorityFile == nil ? "/etc/ssl/certs" : nil, tls.certificateFile,
                tls.keyFile, nil)
            try check(code, "the TLS files")
        }
    }

    deinit { mosquitto_destroy(handle) }

    /// Connects; the broker's answer comes as an event. Blocks until there is a connection or it has failed.
    func open(_ configuration: MQTTConfiguration) throws(MQTTError) {
        lastLibraryError = nil
        let code = mosquitto_connect(handle, configuration.host, Int32(configuration.port), 30)
        guard code == mosquittoSuccess else { throw MQTTError("\(peer): \(reason(code))") }
    }

    /// To be waited on for reading, and for writing while ``wantsToWrite``; -1 when the connection is lost.
    var descriptor: Int32 { mosquitto_socket(handle) }
    var wantsToWrite: Bool { mosquitto_want_write(handle) }

    /// Does what the network allows at the moment, without waiting.
    func work(canRead: Bool, canWrite: Bool) {
        var code = mosquittoSuccess
        // As many packets as there are: with TLS some may be decrypted already, and would wait for the next byte.
        if canRead { code = mosquitto_loop_read(handle, 1000) }
        if code == mosquittoSuccess, canWrite || wantsToWrite { code = mosquitto_loop_write(handle, 1) }
        if code == mosquittoSuccess { code = mosquitto_loop_misc(handle) }
        if code != mosquittoSuccess { lose(code) }
    }

    func takeEvents() -> [Event] {
        defer { events = [] }
        return events
    }

    /// Hands over a message with quality of service 1.
    ///
    /// - Returns: What its acknowledgement will name.
    /// - Throws: ``MQTTError`` where the message itself is refused; a connection that is lost is an event.
    func publish(_ payload: [UInt8], to topic: String, isRetained: Bool) throws(MQTTError) -> Int32? {
        var identifier: Int32 = 0
        let code = mosquitto_publish(handle, &identifier, topic, Int32(payload.count), payload, 1, isRetained)
        switch mosq_err_t(rawValue: code) {
        case MOSQ_ERR_SUCCESS: return identifier
        case MOSQ_ERR_INVAL, MOSQ_ERR_PAYLOAD_SIZE, MOSQ_ERR_MALFORMED_UTF8, MOSQ_ERR_OVERSIZE_PACKET:
            throw MQTTError("\(topic): \(reason(code))")
        default:
            lose(code)
            return nil
        }
    }

    func subscribe(_ filter: String) {
        mosquitto_subscribe(handle, nil, filter, 0)
    }

    /// Says goodbye, so that the broker does not publish the will.
    func close() {
        mosquitto_disconnect(handle)
    }

    // MARK: Callbacks

    private static func from(_ context: UnsafeMutableRawPointer?) -> MQTTConnection {
        Unmanaged<MQTTConnection>.fromOpaque(context!).takeUnretainedValue()
    }

    private func connected(_ code: Int32) {
        events.append(code == 0 ? .accepted : .refused("\(peer): \(String(cString: mosquitto_connack_string(code)))"))
    }

    private func disconnected(_ code: Int32) {
        if code != 0 { lose(code) }
    }

    private func lose(_ code: Int32) {
        if case .lost? = events.last { return }
        events.append(.lost("\(peer): \(reason(code))"))
    }

    private func reason(_ code: Int32) -> String {
        let text =
            code == MOSQ_ERR_ERRNO.rawValue
            ? String(cString: strerror(errno)) : String(cString: mosquitto_strerror(code))
        return (lastLibraryError.map { "\(text) (\($0))" } ?? text).replacing("\n", with: " ")
    }

    private func check(_ code: Int32, _ what: String) throws(MQTTError) {
        guard code == mosquittoSuccess else { throw MQTTError("\(what): \(reason(code))") }
    }
}

private let mosquittoSuccess = MOSQ_ERR_SUCCESS.rawValue
