import CFFTW
import Synchronization

/// FFTW's planner is not thread-safe; executing a plan is.
private let planner = Mutex<Void>(())

/// Forward transform of real input of a fixed length, on FFTW with buffers of its own.
///
/// `FFTW_ESTIMATE`: the plan, and with it the rounding, is the same in every run, which golden tests need.
final class RealFourierTransform {
    /// [length], to be filled by the caller; kept by ``execute()``.
    let input: UnsafeMutablePointer<Float>
    /// [1 + length / 2] complex numbers as pairs (real, imaginary), written by ``execute()``.
    let output: UnsafeMutablePointer<Float>
    private let complexOutput: UnsafeMutablePointer<fftwf_complex>
    private let plan: fftwf_plan

    /// - Parameter length: ≥ 2, even.
    init(length: Int) {
        precondition(length >= 2 && length % 2 == 0, "a transform of length \(length)")
        let binCount = length / 2 + 1
        guard let input = fftwf_alloc_real(length), let complexOutput = fftwf_alloc_complex(binCount) else {
            fatalError("no memory for a transform of length \(length)")
        }
        input.initialize(repeating: 0, count: length)
        complexOutput.initialize(repeating: (0, 0), count: binCount)
        let plan = planner.withLock { _ in
            PlanBox(fftwf_plan_dft_r2c_1d(Int32(length), input, complexOutput, FFTW_ESTIMATE | FFTW_PRESERVE_INPUT))
        }
        guard let plan = plan.plan else { fatalError("FFTW has no plan of length \(length)") }
        self.plan = plan
        self.input = input
        self.complexOutput = complexOutput
        // A C array of two floats per number, imported as a tuple.
        output = UnsafeMutableRawPointer(complexOutput).assumingMemoryBound(to: Float.self)
    }

    deinit {
        let plan = PlanBox(plan)
        planner.withLock { _ in fftwf_destroy_plan(plan.plan) }
        fftwf_free(input)
        fftwf_free(complexOutput)
    }

    func execute() {
        fftwf_execute(plan)
    }

    /// Carries a plan out of and into the lock's closure.
    private struct PlanBox: @unchecked Sendable {
        let plan: fftwf_plan?
        init(_ plan: fftwf_plan?) { self.plan = plan }
    }
}
