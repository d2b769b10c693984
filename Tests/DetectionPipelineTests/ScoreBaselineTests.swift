import DetectionPipeline
import Testing

@Suite struct ScoreBaselineTests {
    private func baseline(seconds: Float = 5, elevated: Float = 20, start: Float = 0) -> ScoreBaseline {
        ScoreBaseline(
            .init(seconds: seconds, elevatedSeconds: elevated, elevation: 1.5, start: start), labelCount: 2,
            stepSeconds: 0.16)
    }

    @Test func whatIsAlwaysThereIsTakenOff() {
        var baseline = baseline()
        var last: Float = 0
        for _ in 0..<1000 { last = baseline.subtracted(from: 1, label: 0) }
        #expect(abs(last) < 1e-3)
        #expect(baseline.subtracted(from: 4, label: 0) > 2.9, "what is new stands out as before")
        #expect(baseline.subtracted(from: 4, label: 1) == 4, "labels do not know of each other")
    }

    @Test func scoresBelowTheBackgroundStay() {
        var baseline = baseline()
        for _ in 0..<100 { #expect(baseline.subtracted(from: -2, label: 0) == -2) }
    }

    @Test func lastingSoundsFadeSlowly() {
        var slow = baseline()
        var fast = baseline(elevated: 5)
        for _ in 0..<31 {
            _ = slow.subtracted(from: 5, label: 0)
            _ = fast.subtracted(from: 5, label: 0)
        }
        #expect(slow.subtracted(from: 5, label: 0) > 3.8, "after 5 s")
        #expect(fast.subtracted(from: 5, label: 0) < 2)
    }

    /// A place that has not been heard yet: what is a little like a label is no news, what is much like it is.
    @Test func aPlaceIsLearnedFirst() {
        var baseline = baseline(start: 2.5)
        #expect(baseline.subtracted(from: 3, label: 0) == 0.5)
        #expect(baseline.subtracted(from: 8, label: 1) == 5.5)
        var heard = self.baseline(start: 2.5)
        for _ in 0..<125 { _ = heard.subtracted(from: 0, label: 0) }
        #expect(heard.subtracted(from: 3, label: 0) > 2.9, "after 20 s")
        baseline.keep(heard, indices: [0, nil])
        #expect(baseline.subtracted(from: 3, label: 0) > 2.8, "a label that was there goes on")
        var new = self.baseline(start: 2.5)
        new.keep(heard, indices: [nil, 0])
        #expect(new.subtracted(from: 3, label: 0) == 0.5, "a new one begins")
    }

    @Test func wildScoresLeaveNoTrace() {
        var baseline = baseline()
        _ = baseline.subtracted(from: .infinity, label: 0)
        _ = baseline.subtracted(from: .nan, label: 0)
        #expect(baseline.subtracted(from: 2, label: 0) == 2)
    }

    @Test func noneWithInfiniteTime() {
        var baseline = baseline(seconds: .infinity, elevated: .infinity)
        for _ in 0..<100 { #expect(baseline.subtracted(from: 3, label: 0) == 3) }
    }
}
