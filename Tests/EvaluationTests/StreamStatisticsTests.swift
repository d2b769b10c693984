import Evaluation
import Testing

/// False alarms per hour and detection latency.
@Suite struct StreamStatisticsTests {
    @Test func falseAlarmsPerHour() throws {
        let alarms = try FalseAlarms(
            events: [event(1, 2), event(5, 6), event(1, 2, "rain", in: "b.wav")],
            durations: ["a.wav": 600, "b.wav": 900, "silent.wav": 300])
        #expect(alarms.count == 3)
        #expect(alarms.hours == 0.5)
        #expect(alarms.perHour == 6)
        #expect(alarms.countByLabel == ["dog": 2, "rain": 1])
        #expect(try FalseAlarms(events: [], durations: ["a.wav": 60]).perHour == 0)
    }

    @Test func falseAlarmsNeedDurations() {
        #expect(throws: EvaluationError("event of dog in a.wav, whose duration is not known")) {
            try FalseAlarms(events: [event(1, 2)], durations: ["b.wav": 60])
        }
        #expect(throws: EvaluationError("the background recordings have no length")) {
            try FalseAlarms(events: [], durations: [:])
        }
        #expect(throws: EvaluationError("duration -1.0 s of a.wav is not a length")) {
            try FalseAlarms(events: [], durations: ["a.wav": -1])
        }
    }

    private func report(_ emission: Double, _ label: String = "dog", in filename: String = "a.wav") -> OnsetReport {
        OnsetReport(filename: filename, label: label, emission: emission)
    }

    @Test func latencyByHand() throws {
        let truth = [event(1, 2), event(10, 11), event(20, 21), event(5, 6, "rain"), event(1, 2, in: "b.wav")]
        let latency = DetectionLatency(
            reports: [
                report(0.5),  // Before any event: a false alarm.
                report(1.5), report(1.7),  // The first counts.
                report(12),  // After the end, within the grace.
                report(25),  // Too late.
                report(5.25, "rain"), report(1.1, "crow"), report(1.2, in: "c.wav"),
            ], truth: truth, grace: 2)
        #expect(latency.reportedCount == 3)
        #expect(latency.missedCount == 2)
        #expect(latency.delay?.median == 0.5)
        expectClose(latency.delay?.mean, (0.25 + 0.5 + 2) / 3, "mean of .25, .5 and 2 s")
    }

    @Test func eachReportIsTakenOnce() {
        // Both events are under way when the only report is sent.
        let latency = DetectionLatency(reports: [report(3)], truth: [event(1, 5), event(2, 5)])
        #expect(latency.reportedCount == 1)
        #expect(latency.missedCount == 1)
        #expect(latency.delay?.median == 2)
    }

    @Test func lateReportOfAMissedEventServesTheNext() {
        let latency = DetectionLatency(reports: [report(9.5)], truth: [event(1, 2), event(9, 10)])
        #expect(latency.delay?.median == 0.5)
        #expect(latency.missedCount == 1)
    }

    @Test func nothingReportedHasNoDelay() {
        let latency = DetectionLatency(reports: [], truth: [event(1, 2)])
        #expect(latency.delay == nil)
        #expect(latency.missedCount == 1)
        #expect(DetectionLatency(reports: [report(1)], truth: []).missedCount == 0)
    }

    @Test(arguments: 0..<10 as Range<UInt64>) func constantDelayIsFound(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let truth = randomEvents(&random).joiningOverlaps().filter { $0.duration > 0.3 }
        let reports = truth.map { report($0.onset + 0.25, $0.label, in: $0.filename) }.shuffled(using: &random)
        let latency = DetectionLatency(reports: reports, truth: truth.shuffled(using: &random))
        #expect(latency.missedCount == 0)
        expectClose(latency.delay?.median, 0.25, "median", tolerance: 1e-9)
        expectClose(latency.delay?.percentile90, 0.25, "90th percentile", tolerance: 1e-9)
    }
}
