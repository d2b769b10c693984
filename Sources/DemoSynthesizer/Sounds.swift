import Glibc

/// Samples per second of everything in this target: the rate of the bundled model.
let sampleRate: Float = 32_000

/// The sounds of the demo recording, each from the physics of what makes it.
enum Sounds {
    /// A patrol car's yelp: a horn driven by a saw-like wave whose pitch follows a capacitor that charges and discharges.
    static func siren(seconds: Float) -> [Float] {
        let period: Float = 0.4
        let steepness: Float = 2.5
        let floor = expf(-steepness)
        var phase: Float = 0
        let samples = (0..<Int(seconds * sampleRate)).map { index -> Float in
            let turn = 2 * (Float(index) / sampleRate / period).truncatingRemainder(dividingBy: 1)
            let rise = turn < 1 ? 1 - expf(-steepness * turn) : expf(-steepness * (turn - 1)) - floor
            phase += (600 + 800 * rise / (1 - floor)) / sampleRate
            phase -= floorf(phase)
            // Harmonics 1 to 8: a horn speaker passes no more.
            return (1...8).reduce(Float(0)) { value, harmonic in
                value + sinf(2 * .pi * Float(harmonic) * phase) / powf(Float(harmonic), 0.9)
            }
        }
        return samples.filtered(.bandPass(frequency: 1_500, quality: 0.6)).inRoom(decay: 0.6, amount: 0.6, seed: 11)
            .faded(seconds: 0.3).normalized(peak: 0.18)
    }

    /// A quartz alarm clock: four beeps a second's half, a pause, a piezo disc that resonates near 2 and 4 kHz.
    static func alarmClock(seconds: Float) -> [Float] {
        let beep: Float = 0.075
        let samples = (0..<Int(seconds * sampleRate)).map { index -> Float in
            let time = (Float(index) / sampleRate).truncatingRemainder(dividingBy: 1)
            let slot = Int(time / (2 * beep))
            let within = time - Float(slot) * 2 * beep
            guard slot < 4, within < beep else { return 0 }
            let edge = min(1, min(within, beep - within) / 0.002)
            let turn = 2 * Float.pi * 2_048 * Float(index) / sampleRate
            // A piezo disc driven by a square wave: odd harmonics, a little of the even ones.
            return edge * (sinf(turn) + 0.12 * sinf(2 * turn) + 0.4 * sinf(3 * turn) + 0.2 * sinf(5 * turn))
        }
        return samples.inRoom(decay: 0.25, amount: 0.2, seed: 12).normalized(peak: 0.2)
    }

    /// A mechanical clock: two escapement beats a second, alternately tick and tock, each a row of small impacts.
    static func ticking(seconds: Float) -> [Float] {
        var generator = SeededGenerator(seed: 21)
        var samples = [Float](repeating: 0, count: Int(seconds * sampleRate))
        var beat = 0
        while Float(beat) * 0.5 + 0.2 < seconds {
            let pitch: Float = beat % 2 == 0 ? 1 : 0.82
            // Unlock, impulse, drop: three impacts within 20 ms.
            for (delay, gain) in [(Float(0), Float(0.35)), (0.008, 0.6), (0.019, 1)] {
                let start = 0.1 + Float(beat) * 0.5 + delay
                for (frequency, decay, level) in [
                    (Float(5_200), Float(0.0018), Float(0.8)), (3_300, 0.003, 1), (1_900, 0.005, 0.6),
                    (820, 0.009, 0.35),
                ] {
                    strike(
                        &samples, at: start, frequency: frequency * pitch * generator.uniform(0.99...1.01),
                        decay: decay,
                        level: gain * level * generator.uniform(0.85...1))
                }
            }
            beat += 1
        }
        return samples.inRoom(decay: 0.25, amount: 0.25, seed: 22).normalized(peak: 0.35)
    }

    /// Knuckles on a wooden door: bending modes of the panel, struck through a soft tip, in groups of three to five.
    static func knocking(seconds: Float) -> [Float] {
        var generator = SeededGenerator(seed: 31)
        var samples = [Float](repeating: 0, count: Int(seconds * sampleRate))
        var time: Float = 0.1
        var group = 0
        while time < seconds - 0.6 {
            for _ in 0..<(3 + group % 2 * 2) where time < seconds - 0.3 {
                let force = generator.uniform(0.75...1)
                for (frequency, decay, level) in [
                    (Float(118), Float(0.013), Float(0.7)), (192, 0.011, 1), (305, 0.008, 0.9), (467, 0.006, 0.6),
                    (710, 0.004, 0.4), (1_130, 0.002, 0.25), (1_850, 0.001, 0.15),
                ] {
                    strike(
                        &samples, at: time, frequency: frequency * generator.uniform(0.98...1.02), decay: decay,
                        level: force * level * generator.uniform(0.8...1))
                }
                time += generator.uniform(0.17...0.22)
            }
            time += 0.75
            group += 1
        }
        return samples.inRoom(decay: 0.3, amount: 0.35, seed: 32).normalized(peak: 0.5)
    }

    /// Rain on leaves and ground: a bed of far drops, which is noise, and near drops, which are damped bubbles.
    static func rain(seconds: Float) -> [Float] {
        var generator = SeededGenerator(seed: 41)
        let count = Int(seconds * sampleRate)
        let bed = (0..<count).map { _ in generator.noise() }
        var samples = bed.filtered(.highPass(frequency: 700, quality: 0.5)).filtered(
            .lowPass(frequency: 3_000, quality: 0.6)
        )
        .normalized(rootMeanSquare: 1)
        for _ in 0..<Int(seconds * 200) {
            let nearness = generator.uniform()
            strike(
                &samples, at: generator.uniform() * (seconds - 0.05), frequency: generator.uniform(1_200...8_000),
                decay: generator.uniform(0.0005...0.003), level: 6 * nearness * nearness * nearness)
        }
        return samples.map { $0 * 0.014 }.faded(seconds: 0.8)
    }

    /// Adds one damped mode: a sine that starts within a millisecond and decays by 1/e every `decay` seconds.
    private static func strike(
        _ samples: inout [Float], at start: Float, frequency: Float, decay: Float, level: Float
    ) {
        let first = Int(start * sampleRate)
        let length = min(Int(9 * decay * sampleRate), samples.count - first)
        for index in 0..<max(0, length) {
            let time = Float(index) / sampleRate
            let attack = min(1, time / 0.0006)
            samples[first + index] += level * attack * expf(-time / decay) * sinf(2 * .pi * frequency * time)
        }
    }
}
