import CMosquitto
import Dispatch
import EventMessages
import Foundation
import Glibc
package import Logging
import NIOConcurrencyHelpers

/// Publishes the log's messages to an MQTT broker, each at least once and in order, for as long as it takes to reach it.
///
/// A thread of its own does all of it; ``notify()`` and what changes the description only leave a note for it.
package final class MQTTPublisher: Sendable {
    /// What the daemon's `status` says of publishing.
    package struct Status: Sendable, Equatable {
        package var isConnected = false
        /// Messages that the broker has acknowledged since the start.
        package var published = 0
        /// The last number that is done with.
        package var acknowledged: Int64 = 0
        /// Messages that were gone from the log before they could be published.
        package var expired = 0
        /// Messages that the broker or the library would not take.
        package var refused = 0
        /// Connections after the first.
        package var reconnects = 0
        /// Why there is no connection, or what went wrong last; nil while all is well.
        package var problem: String?
    }

    struct State {
        var status = Status()
        var description: PublishedDescription
        var descriptionChanged = false
        var stopLimit: ContinuousClock.Instant?
    }

    package let configuration: MQTTConfiguration
    let log: MessageLog
    let logger: Logger
    let state: NIOLockedValueBox<State>
    /// The log's last number when this publisher was made.
    let firstPosition: Int64
    private let wakeUp: Int32
    private let ended = DispatchSemaphore(value: 0)

    /// Notes where the log ends: where no position is kept yet, publishing begins there.
    ///
    /// - Throws: ``MQTTError`` where a file that the configuration names cannot be used.
    package init(
        _ configuration: MQTTConfiguration, description: PublishedDescription, log: MessageLog, logger: Logger
    ) throws {
        self.configuration = configuration
        self.log = log
        self.logger = logger
        state = NIOLockedValueBox(State(description: description))
        firstPosition = log.lastSequence()
        // What is wrong with files is to be known now, not when the broker is there.
        _ = try MQTTConnection(configuration, will: (Topics(base: configuration.topic).availability, "offline"))
        wakeUp = earshot_mqtt_eventfd()
        guard wakeUp >= 0 else { throw MQTTError("eventfd: \(String(cString: strerror(errno)))") }
    }

    deinit { close(wakeUp) }

    package var status: Status { state.withLockedValue { $0.status } }

    /// Messages that are not with the broker yet.
    package var pending: Int64 { max(0, log.lastSequence() - status.acknowledged) }

    /// Starts the thread. Call once.
    package func start() {
        let session = PublishingLoop(self)
        Thread.detachNewThread { [ended] in
            earshot_mqtt_name_thread("mqtt")
            // libmosquitto writes to sockets that the broker may have closed.
            var signals = sigset_t()
            sigemptyset(&signals)
            sigaddset(&signals, SIGPIPE)
            pthread_sigmask(SIG_BLOCK, &signals, nil)
            session.run()
            ended.signal()
        }
    }

    /// Tells that there are new messages in the log. From any thread; never waits.
    package func notify() {
        var one: UInt64 = 1
        _ = write(wakeUp, &one, 8)
    }

    /// Labels or sources have changed.
    package func replace(_ description: PublishedDescription) {
        state.withLockedValue { state in
            guard state.description != description else { return }
            state.description = description
            state.descriptionChanged = true
        }
        notify()
    }

    /// Publishes what is left while there is a connection, says goodbye, and ends the thread. Blocks.
    ///
    /// - Returns: false where the thread is stuck, such as in looking up the broker's name, and was left behind.
    @discardableResult
    package func stop(timeout: Duration = .seconds(3)) -> Bool {
        state.withLockedValue { $0.stopLimit = .now + timeout }
        notify()
        let milliseconds = Int(timeout / .milliseconds(1)) + 500
        return ended.wait(timeout: .now() + .milliseconds(milliseconds)) == .success
    }

    // MARK: For the thread

    /// Waits until there is something to do on the connection, a notification or the end of the time.
    func wait(descriptor: Int32, forWriting: Bool, limit: Duration) -> (canRead: Bool, canWrite: Bool) {
        var polled = [
            pollfd(fd: wakeUp, events: Int16(POLLIN), revents: 0),
            pollfd(fd: descriptor, events: Int16(POLLIN) | (forWriting ? Int16(POLLOUT) : 0), revents: 0),
        ]
        _ = poll(&polled, 2, Int32(max(0, limit / .milliseconds(1))))
        if polled[0].revents != 0 {
            var count: UInt64 = 0
            _ = read(wakeUp, &count, 8)
        }
        let happened = Int32(polled[1].revents)
        return (happened & (POLLIN | POLLERR | POLLHUP) != 0, happened & POLLOUT != 0)
    }
}
