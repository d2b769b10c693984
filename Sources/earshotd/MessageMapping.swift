import DetectionPipeline
import EventMessages
import Foundation

extension SourceReport {
    /// The report as a message for clients; nil for what they are not told.
    ///
    /// - Parameter eventPrefix: Makes event identifiers unique over restarts.
    func message(eventPrefix: String) -> ServerMessage? {
        switch content {
        case .event(let event):
            return .event(
                EventMessage(
                    kind: kind(of: event.kind), event: "\(source)-\(eventPrefix)-\(event.number)", source: source,
                    label: event.label, score: Double(event.score), onset: timestamp(event.onsetSample),
                    offset: event.offsetSample.map(timestamp), onsetSample: event.onsetSample,
                    duration: seconds(max(0, (event.offsetSample ?? event.reportedSample) - event.onsetSample)),
                    levelDecibels: finite(event.levelDecibels), top: ranked(event.top)))
        case .gap(let from, let lost, let reason):
            return .gap(
                GapMessage(
                    source: source, from: timestamp(from), to: timestamp(from + Int64(lost)), fromSample: from,
                    duration: seconds(Int64(lost)), reason: reason))
        case .up(let opening):
            return .source(SourceMessage(source: source, state: .up, time: .now(), reason: opening))
        case .recovered(let reason):
            return .source(SourceMessage(source: source, state: .recovered, time: .now(), reason: reason))
        case .silent(let reason):
            return .source(SourceMessage(source: source, state: .silent, time: .now(), reason: reason))
        case .widened:
            return nil
        case .down(let reason):
            return .source(SourceMessage(source: source, state: .down, time: .now(), reason: reason))
        case .ended(let problem):
            return .source(
                SourceMessage(source: source, state: .down, time: .now(), reason: problem ?? "the source has ended"))
        case .top(let sample, let level, let ranking):
            return .top(
                TopMessage(
                    source: source, time: timestamp(sample), sample: sample, levelDecibels: finite(level),
                    top: ranked(ranking)))
        }
    }

    private func kind(of kind: EventReport.Kind) -> EventMessage.Kind {
        switch kind {
        case .onset: .onset
        case .update: .update
        case .offset: .offset
        }
    }

    private func timestamp(_ sample: Int64) -> Timestamp {
        Timestamp(secondsSinceEpoch: time(ofSample: sample).timeIntervalSince1970)
    }

    private func seconds(_ samples: Int64) -> Double { Double(samples) / Double(sampleRate) }

    private func finite(_ level: Float) -> Double? { level.isFinite ? Double(level) : nil }

    private func ranked(_ top: [LabelShare]) -> [RankedLabel] {
        top.map { RankedLabel(label: $0.label, score: Double($0.share)) }
    }
}
