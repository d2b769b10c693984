import DetectionPipeline
import EventMessages
import Logging

extension SourceReport {
    /// Tells the log what an operator wants to see; the fields are those of the message on the socket.
    ///
    /// - Parameter message: The report as clients get it.
    func log(with logger: Logger, message: ServerMessage?) {
        var fields: Logger.Metadata = ["EARSHOT_SOURCE": "\(source)"]
        switch content {
        case .event(let event):
            guard case .event(let message)? = message, event.kind != .update else { return }
            fields.merge(message.journalFields) { $1 }
            switch event.kind {
            case .onset: logger.info("\(source): \(event.label) (\(decimals(message.score, 2)))", metadata: fields)
            default:
                logger.info(
                    "\(source): \(event.label) is over after \(decimals(message.duration, 2)) s", metadata: fields)
            }
        case .up(let opening):
            logger.info("\(source): listening to \(opening)", metadata: fields)
        case .recovered(let reason):
            logger.notice("\(source): recovered: \(reason)", metadata: fields)
        case .silent(let reason):
            logger.warning("\(source): silent: \(reason)", metadata: fields)
        case .widened(1):
            logger.notice("\(source): keeps up again; every window is matched", metadata: fields)
        case .widened(let stride):
            logger.warning("\(source): slower than real time; one window of \(stride) is matched", metadata: fields)
        case .down(let reason):
            logger.error("\(source): \(reason); trying again", metadata: fields)
        case .ended(let problem?):
            logger.error("\(source): \(problem)", metadata: fields)
        case .ended(nil):
            logger.info("\(source): the source has ended", metadata: fields)
        case .gap(_, let lost, let reason):
            let seconds = Double(lost) / Double(sampleRate)
            fields["EARSHOT_REASON"] = "\(reason)"
            fields["EARSHOT_DURATION"] = "\(decimals(seconds, 3))"
            logger.warning("\(source): \(decimals(seconds, 3)) s of audio lost (\(reason))", metadata: fields)
        case .top: break
        }
    }
}

extension EventMessage {
    /// The event's members as fields of a journal entry; `event` is shown in the line as well.
    fileprivate var journalFields: Logger.Metadata {
        var fields: Logger.Metadata = [
            "event": "\(event)", "EARSHOT_TYPE": "\(kind.rawValue)", "EARSHOT_LABEL": "\(label)",
            "EARSHOT_SCORE": "\(decimals(score, 4))", "EARSHOT_ONSET": "\(onset)",
            "EARSHOT_DURATION": "\(decimals(duration, 3))",
        ]
        if let offset { fields["EARSHOT_OFFSET"] = "\(offset)" }
        return fields
    }
}

private func decimals(_ value: Double, _ count: Int) -> Double {
    var scale = 1.0
    for _ in 0..<count { scale *= 10 }
    return (value * scale).rounded() / scale
}
