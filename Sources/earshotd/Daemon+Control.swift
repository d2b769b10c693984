import EventMessages
import EventServer

extension Daemon {
    /// Carries out a request of the control socket.
    ///
    /// - Returns: The reply's `result`.
    /// - Throws: ``ControlFailure``, or what is wrong in the files that a reload reads.
    func perform(_ request: ControlRequest) async throws -> JSONValue {
        switch request {
        case .reload:
            return ["summary": .string(try await reload().get())]
        case .setThreshold(let label, let on):
            try await setThreshold(on, of: label)
            return ["label": .string(label), "on": .decimal(on)]
        case .mute(let labels, let seconds):
            try mutes.mute(labels, seconds: seconds)
            return ["labels": .string(labels), "seconds": .decimal(seconds, places: 3)]
        case .unmute(let labels):
            return ["ended": .integer(mutes.unmute(labels))]
        case .status:
            return await fullStatus
        }
    }

    /// Until the next reload or restart.
    private func setThreshold(_ on: Double, of label: String) async throws {
        try await change { settings in
            guard settings.labels.setThreshold(Float(on), of: label) else {
                throw ControlFailure("there is no label \"\(label)\"", field: "label")
            }
            settings.thresholds[label] = on
        }
    }
}
