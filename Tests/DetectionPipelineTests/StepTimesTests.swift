import DetectionPipeline
import Foundation
import Testing

@Suite struct StepTimesTests {
    @Test func stepsFallIntoTheirBuckets() {
        let times = StepTimes()
        #expect(times.snapshot.count == 0 && times.snapshot.mean == 0 && times.snapshot.bound(ofShare: 0.99) == nil)
        // On a bound belongs below it; beyond all bounds is the last bucket.
        times.record(nanoseconds: 250_000, steps: 1)
        times.record(nanoseconds: 250_001, steps: 1)
        times.record(nanoseconds: 9_000_000, steps: 3)
        times.record(nanoseconds: 5_000_000_000, steps: 1)
        let snapshot = times.snapshot
        #expect(snapshot.counts.count == StepTimes.bounds.count + 1)
        #expect(snapshot.counts[0] == 1 && snapshot.counts[1] == 1 && snapshot.counts.last == 1)
        #expect(snapshot.counts[StepTimes.bounds.firstIndex(of: 0.004)!] == 3)
        #expect(snapshot.count == 6)
        #expect(abs(snapshot.sum - 5.009500001) < 1e-9)
        #expect(snapshot.bound(ofShare: 0.5) == 0.004)
        #expect(snapshot.bound(ofShare: 0.1) == 0.00025)
        #expect(snapshot.bound(ofShare: 1) == .infinity)
    }

    @Test func readersSeeWholeCountsWhileAnotherThreadRecords() async {
        let times = StepTimes()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { for _ in 0..<100_000 { times.record(nanoseconds: 1_000_000, steps: 1) } }
            group.addTask {
                var last = 0
                while last < 100_000 {
                    let count = times.snapshot.count
                    #expect(count >= last)
                    last = count
                }
            }
        }
        #expect(abs(times.snapshot.sum - 100) < 1e-6)
    }
}
