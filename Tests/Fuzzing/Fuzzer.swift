import Glibc

/// libFuzzer's own loop; its header is for C and C++ only.
@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
    _ argumentCount: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ takeInput: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// The program that `make fuzz` builds. `FUZZ_TARGET` names the target; the arguments are libFuzzer's.
@main
enum Fuzzer {
    static let target: FuzzTarget = {
        let name = getenv("FUZZ_TARGET").map { String(cString: $0) } ?? ""
        guard let target = FuzzTarget.all.first(where: { $0.name == name }) else {
            let names = FuzzTarget.all.map(\.name).joined(separator: ", ")
            print("FUZZ_TARGET is \"\(name)\"; it must be one of \(names)")
            exit(2)
        }
        return target
    }()

    static func main() {
        _ = target
        var count = CommandLine.argc
        var arguments = CommandLine.unsafeArgv
        exit(
            runFuzzer(&count, &arguments) { bytes, count in
                do {
                    try Fuzzer.target.run(Array(UnsafeBufferPointer(start: bytes, count: count)))
                } catch {
                    fatalError("\(Fuzzer.target.name): \(error)")
                }
                return 0
            })
    }
}
