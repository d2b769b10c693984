import DetectionPipeline
import Logging

/// Feeds the service manager's watchdog while every stage of every source goes on, and says in the log which one does
/// not.
///
/// A stage is stuck when it has not moved in several looks in a row; looks are counted, not time, since a process that was
/// stopped as a whole is not stuck.
struct Watchdog {
    private struct Place: Hashable {
        var source: String
        var stage: StageProgress.Stage
    }

    private let interval: Duration
    private let looksUntilStuck: Int
    private var seen: [Place: (turns: Int, looks: Int)] = [:]
    private let logger: Logger

    /// - Parameter limit: How long the service manager waits for a sign of life; nil if it does not.
    init(limit: Duration?, logger: Logger) {
        self.logger = logger
        interval = limit.map { min($0 / 3, .seconds(1)) } ?? .seconds(1)
        // A third of the limit is left for the service manager's patience; a turn of a healthy stage takes two seconds at
        // most.
        let patience = max(.seconds(3), (limit ?? .seconds(30)) / 3)
        looksUntilStuck = Int((patience / interval).rounded(.up))
    }

    /// Looks again and again until the task is cancelled.
    ///
    /// - Parameters:
    ///   - feed: Called after each look that found no stage stuck.
    ///   - allEnded: Called after each look that found all sources ended.
    mutating func run(sources: SourceSet, feed: () -> Void, allEnded: () -> Void) async {
        while !Task.isCancelled {
            let listeners = sources.all
            if isAlive(listeners.map { ($0.configuration.name, $0.stages) }) { feed() }
            if listeners.allSatisfy(\.hasEnded) { allEnded() }
            try? await Task.sleep(for: interval)
        }
    }

    private mutating func isAlive(_ sources: [(name: String, stages: [StageProgress])]) -> Bool {
        var next: [Place: (turns: Int, looks: Int)] = [:]
        var isAlive = true
        for (name, stages) in sources {
            for progress in stages {
                let place = Place(source: name, stage: progress.stage)
                var looks = 0
                if let last = seen[place], last.turns == progress.turns { looks = last.looks + 1 }
                next[place] = (progress.turns, looks)
                guard looks >= looksUntilStuck else { continue }
                isAlive = false
                if looks % looksUntilStuck == 0 {
                    logger.error("\(name): the stage \(progress.stage.rawValue) is stuck; the watchdog is not fed")
                }
            }
        }
        seen = next
        return isAlive
    }
}
