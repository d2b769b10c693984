import DetectionPipeline
import EventMessages
import Synchronization

/// Counts what the sources report, for `status` and the metrics.
final class ReportTally: Sendable {
    /// What one source has reported since the start.
    struct Source: Sendable {
        var onsets: [String: Int] = [:]
        /// When audio was last lost.
        var lastGap: Timestamp?
    }

    private let sources = Mutex<[String: Source]>([:])

    /// Called on the inference threads; takes a lock only for an onset or a gap.
    func count(_ report: SourceReport) {
        switch report.content {
        case .event(let event) where event.kind == .onset:
            sources.withLock { $0[report.source, default: Source()].onsets[event.label, default: 0] += 1 }
        case .gap:
            sources.withLock { $0[report.source, default: Source()].lastGap = .now() }
        default: break
        }
    }

    /// All zero for a source that has reported nothing.
    subscript(source: String) -> Source {
        sources.withLock { $0[source] ?? Source() }
    }
}
