extension EventRecorder {
    package struct Limits: Sendable {
        /// Messages on their way to the store at most; beyond it new ones are lost, and the hole in the numbers shows it.
        package var queue = 8192
        /// Messages that wait for room at most; beyond it the oldest is not stored.
        package var backlog = 16_384
        /// Messages in one transaction at most.
        package var batch = 1024
        /// Between attempts to store what waits.
        package var retryInterval = Duration.seconds(1)
        /// Between removals of what is too old.
        package var pruneInterval = Duration.seconds(60)

        package init() {}
    }

    package enum State: String, Sendable {
        case ok, full, failed
    }

    /// Figures for `status`.
    package struct Status: Sendable {
        package var state = State.ok
        /// Why messages are not stored at the moment.
        package var problem: String?
        /// Bytes on the disk.
        package var size: Int64 = 0
        /// Of the messages that are stored; 0 where there are none.
        package var firstSequence: Int64 = 0
        package var lastSequence: Int64 = 0
        /// Messages that are not stored yet.
        package var pending = 0
        /// Messages that will never be.
        package var notStored = 0
        /// Name of the last store that was damaged and set aside.
        package var setAside: String?
    }
}
