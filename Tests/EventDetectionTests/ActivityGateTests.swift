import Testing

@testable import EventDetection

@Suite struct ActivityGateTests {
    func steps(_ samples: [Float], blocks: [Int] = [.max], minimumLevel: Float = -90) -> [ActivityGate.Step] {
        var gate = ActivityGate(stepLength: 100, minimumLevel: minimumLevel)
        var found = [ActivityGate.Step]()
        var position = 0
        var block = 0
        while position < samples.count {
            let end = min(samples.count - position, blocks[block % blocks.count]) + position
            samples[position..<end].withUnsafeBufferPointer { gate.process($0) { found.append($0) } }
            position = end
            block += 1
        }
        return found
    }

    func square(_ amplitude: Float, offset: Float = 0, count: Int = 100) -> [Float] {
        (0..<count).map { $0 % 2 == 0 ? offset + amplitude : offset - amplitude }
    }

    @Test func constantsOfAnySizeAreSilent() {
        for value: Float in [0, -0.0, 1e-9, 0.1, 1, -1, 0.333_333] {
            let found = steps([Float](repeating: value, count: 300))
            #expect(found.count == 3)
            #expect(found.allSatisfy { $0.isSilent && $0.level == -.infinity })
        }
        #expect(steps([Float](repeating: 1, count: 100), minimumLevel: -.infinity)[0].isSilent)
    }

    @Test func levelIsAboutTheMean() {
        #expect(abs(steps(square(1))[0].level - 0) < 1e-4)
        #expect(abs(steps(square(0.1))[0].level + 20) < 1e-4)
        #expect(abs(steps(square(0.1, offset: 0.5))[0].level + 20) < 1e-3)
        // A dead microphone: a large constant and the last bit.
        let bit = Float(1) / 32768
        #expect(steps(square(bit / 2, offset: 0.25))[0].isSilent)
        #expect(!steps(square(bit * 2, offset: 0.25))[0].isSilent)
        #expect(abs(steps(square(bit * 2, offset: 0.25))[0].level + 84.3) < 0.1)
        #expect(steps(square(0.009), minimumLevel: -40)[0].isSilent)
    }

    @Test func brokenSamplesAreSilent() {
        for value: Float in [.nan, .infinity, -.infinity] {
            for position in [0, 50, 99] {
                var samples = square(0.5, count: 200)
                samples[position] = value
                let found = steps(samples)
                #expect(found[0].isSilent && found[0].level == -.infinity)
                #expect(!found[1].isSilent)
            }
        }
    }

    @Test(arguments: [[1], [7], [100], [1000], [3, 250, 1, 99]])
    func anyGroupingGivesTheSameSteps(blocks: [Int]) {
        var random = SeededGenerator(state: 1)
        var samples = (0..<2050).map { _ in Float.random(in: -1...1, using: &random) }
        for index in 500..<900 { samples[index] = 0 }
        let whole = steps(samples)
        #expect(whole.map(\.start) == (0..<20).map { $0 * 100 })
        #expect(whole.map(\.isSilent) == (0..<20).map { (5..<9).contains($0) })
        #expect(steps(samples, blocks: blocks) == whole)
    }

    @Test func restartDropsTheIncompleteStep() {
        var gate = ActivityGate(stepLength: 100, start: 1000)
        var starts = [Int64]()
        func feed(_ count: Int) {
            square(0.5, count: count).withUnsafeBufferPointer { gate.process($0) { starts.append($0.start) } }
        }
        feed(150)
        gate.restart(at: 7000)
        feed(120)
        #expect(starts == [1000, 7000])
    }

    /// Gate and detector together: whatever the scores, silence and a dead microphone give no event.
    @Test func noEventWithoutActivity() {
        var detector = EventDetector(
            EventDetectorConfiguration(stepLength: 100, labels: [.init(onThreshold: 0.1, offThreshold: 0.1)]))
        var gate = ActivityGate(stepLength: 100)
        let quiet = [Float](repeating: 0, count: 1000) + [Float](repeating: 0.7, count: 1000)
        var count = 0
        (quiet + square(1e-5, count: 500)).withUnsafeBufferPointer {
            gate.process($0) { step in
                [Float(1)].withUnsafeBufferPointer { scores in
                    detector.process(stepStart: step.start, scores: scores, isSilent: step.isSilent) { _ in count += 1 }
                }
            }
        }
        detector.finish { _ in count += 1 }
        #expect(count == 0)
    }
}
