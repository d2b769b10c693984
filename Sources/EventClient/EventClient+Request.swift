package import Foundation
import Synchronization

extension EventClient {
    /// Sends one request and waits for its reply.
    ///
    /// - Parameters:
    ///   - parameters: A JSON object in one line.
    ///   - timeout: For all of it, connecting included.
    /// - Returns: The reply's `result` as JSON.
    /// - Throws: ``ConnectionError``, also where the daemon refuses the request or does not answer in time.
    package static func request(
        _ method: String, _ parameters: String = "{}", socketPath: String, timeout: Duration = .seconds(5)
    ) async throws -> Data {
        try await withThrowingTaskGroup(of: Data.self) { group in
            group.addTask { try await reply(to: method, parameters, socketPath: socketPath) }
            group.addTask {
                try await Task.sleep(for: timeout)
                let seconds = timeout / .seconds(1)
                throw ConnectionError(description: "\(socketPath): earshotd does not answer within \(seconds) s")
            }
            defer { group.cancelAll() }
            return try await group.next()!
        }
    }

    private static func reply(to method: String, _ parameters: String, socketPath: String) async throws -> Data {
        let reply = Mutex<Data?>(nil)
        let request = #"{"id":"\#(method)","method":"\#(method)","params":\#(parameters)}"#
        try await run(socketPath: socketPath, requests: [request]) { line in
            guard object(Data(line.utf8))?["id"] as? String == method else { return true }
            reply.withLock { $0 = Data(line.utf8) }
            return false
        }
        guard let answer = reply.withLock({ $0 }).flatMap(object) else {
            throw ConnectionError(description: "\(socketPath): the daemon closed the connection before it answered")
        }
        if let result = answer["result"] {
            return try JSONSerialization.data(withJSONObject: result, options: [.sortedKeys, .withoutEscapingSlashes])
        }
        let reason = (answer["error"] as? [String: Any])?["message"] as? String ?? "no reason is given"
        throw ConnectionError(description: "\(socketPath): refused: \(reason)")
    }

    private static func object(_ line: Data) -> [String: Any]? {
        try? JSONSerialization.jsonObject(with: line) as? [String: Any]
    }
}
