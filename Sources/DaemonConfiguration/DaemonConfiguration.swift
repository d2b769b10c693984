#if canImport(Glibc)
    import Glibc
#endif

/// What `earshotd` is told by its configuration file, `/etc/earshot/earshot.yaml`.
///
/// Every setting has a default; `systemd/earshot.yaml` explains each. Relative paths are relative to the file's folder.
/// Values are checked for themselves; whether files, devices and groups exist shows when they are opened.
package struct DaemonConfiguration: Sendable, Equatable {
    /// The model's folder; nil leaves the search to the daemon.
    package var modelDirectory: String?
    /// The text encoder's folder; nil leaves the search to the daemon.
    package var textEncoderDirectory: String?
    /// Where label embeddings are kept; nil stands for what the service manager gives.
    package var cacheDirectory: String?
    /// What is listened for, on all sources that have no list of their own; empty leaves the choice to the daemon.
    package var labels: [LabelSetting] = []
    /// At least one.
    package var sources: [SourceConfiguration] = [SourceConfiguration(name: "default", device: "alsa:default")]
    package var detection = DetectionConfiguration()
    package var socket = SocketConfiguration()
    package var store = StoreConfiguration()
    /// Nil publishes nothing.
    package var mqtt: MQTTSettings?
    /// Path of the control socket; nil for none.
    package var controlSocketPath: String?
    package var metrics = MetricsConfiguration()
    package var logLevel = LogLevel.info
    /// Seconds of audio that may wait for inference before some is lost.
    package var ringLength = 10.0
    package var overload = OverloadPolicy.drop

    package init() {}
}

/// An entry of `labels`.
package enum LabelSetting: Sendable, Equatable {
    /// Path of a label file: an entry that begins with `/`, `./` or `../`, or ends in `.txt`.
    case file(String)
    /// A line as in a label file, and the line of the configuration that it is in.
    case text(String, line: Int)
}

/// What is done while inference is slower than real time.
package enum OverloadPolicy: String, Sendable, CaseIterable {
    /// Audio that finds no room is lost.
    case drop
    /// Windows are passed over, so that audio need not be lost.
    case widen
}

package struct SourceConfiguration: Sendable, Equatable {
    package enum Channel: Sendable, Equatable {
        /// The mean of all.
        case mix
        /// The first is 1.
        case number(Int)
    }

    /// Names the source in events; letters, digits, `-`, `_` and `.`.
    package var name: String
    /// `alsa:DEVICE`, an absolute path, or `-`.
    package var device: String
    package var channel = Channel.mix
    /// The operator's words for the place.
    package var description: String?
    /// Labels of this source alone; nil stands for those of the daemon.
    package var labels: [LabelSetting]?
    /// What differs from the daemon's `detection` for this source.
    package var detection = DetectionConfiguration()
    /// Whether a file is read at the pace of its audio instead of as fast as possible.
    package var isRealtime = false
    /// Whether a file begins again when it has ended.
    package var isLooping = false
    /// Where in the configuration the source begins; 0 if it is not written there.
    package var line = 0

    package init(name: String, device: String) {
        self.name = name
        self.device = device
    }
}

/// How scores become events. What is nil is left to the model's calibration; labels may have settings of their own.
package struct DetectionConfiguration: Sendable, Equatable {
    /// Score in 0...1 from which an event begins.
    package var onThreshold: Double?
    /// Score in 0...1 below which it ends; at most `onThreshold`.
    package var offThreshold: Double?
    /// Length of the median filter over scores, in seconds; 0 for none.
    package var medianFilterLength: Double?
    /// Shortest event in seconds.
    package var minimumEventLength: Double?
    /// Events of a label less than so many seconds apart are one.
    package var minimumEventGap: Double?
    /// Seconds after an event in which the label begins no other.
    package var cooldown: Double?
    /// Seconds between updates of an event that lasts; nil for none.
    package var updateInterval: Double?
    /// Audio below this level in dBFS is not scored.
    package var silenceLevel: Double?
    /// Seconds of digital silence or a constant after which a source counts as silent.
    package var silentAfter: Double?

    package init() {}

    /// These settings where they are given, else those of `base`.
    package func overriding(_ base: DetectionConfiguration) -> DetectionConfiguration {
        var merged = DetectionConfiguration()
        merged.onThreshold = onThreshold ?? base.onThreshold
        merged.offThreshold = offThreshold ?? base.offThreshold
        merged.medianFilterLength = medianFilterLength ?? base.medianFilterLength
        merged.minimumEventLength = minimumEventLength ?? base.minimumEventLength
        merged.minimumEventGap = minimumEventGap ?? base.minimumEventGap
        merged.cooldown = cooldown ?? base.cooldown
        merged.updateInterval = updateInterval ?? base.updateInterval
        merged.silenceLevel = silenceLevel ?? base.silenceLevel
        merged.silentAfter = silentAfter ?? base.silentAfter
        return merged
    }
}

package struct SocketConfiguration: Sendable, Equatable {
    package var path = "/run/earshot/earshot.sock"
    /// Rights of the socket file.
    package var mode: UInt32 = 0o660
    /// Name or number; nil leaves the daemon's own.
    package var group: String?
    /// Messages that wait for one client at most.
    package var clientQueueLimit = 1024
    /// A client that takes nothing for so long is closed.
    package var stallTimeout = Duration.seconds(30)
    package var maximumClients = 256

    package init() {}
}

/// Where events are kept, and for how long.
package struct StoreConfiguration: Sendable, Equatable {
    /// False for `store: off`.
    package var isOn = true
    /// Nil stands for `events.db` in the directory that the service manager gives; where it gives none nothing is stored.
    package var path: String?
    /// Seconds after which a message is removed.
    package var maximumAge = 90.0 * 86_400
    /// Bytes on the disk beyond which the oldest messages are removed.
    package var maximumSize: Int64 = 256_000_000

    package init() {}
}

/// The levels of swift-log, by the same names.
package enum LogLevel: String, Sendable, CaseIterable {
    case trace, debug, info, notice, warning, error, critical
}
