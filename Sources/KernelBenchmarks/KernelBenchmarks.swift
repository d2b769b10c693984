import AudioEmbedding
import AudioFeatures
import TensorKernels

/// Times each kernel and stage on one thread: `KernelBenchmarks [MODEL_DIRECTORY]`.
@main
struct KernelBenchmarks {
    static func main() throws {
        flushSubnormals()
        useSingleBLASThread()
        print("BLAS kernel \(blasCoreName()), CPU time of one thread, median of repeats\n")
        benchmarkProducts()
        benchmarkConvolutions()
        benchmarkElementwise()
        let path = CommandLine.arguments.dropFirst().first ?? "models/earshot-mn04"
        do {
            try benchmarkStages(ModelDirectory(path: path))
        } catch let error as ModelError {
            print("\nstages skipped: \(error)")
        }
    }
}
