import Foundation
import Synchronization
import TestSupport

/// The built programs, which lie in the folder of the test bundle.
enum Product {
    static let folder: String? = {
        var candidates = [try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")]
        candidates += CommandLine.arguments.map { $0 }
        candidates.append(checkoutPath(".build/release/earshotd"))
        for case let candidate? in candidates where candidate.hasPrefix("/") {
            let folder = URL(fileURLWithPath: candidate).deletingLastPathComponent().path
            let hasAll = ["earshot", "earshotd"].allSatisfy {
                FileManager.default.isExecutableFile(atPath: "\(folder)/\($0)")
            }
            if hasAll { return folder }
        }
        print("EndToEndTests: skipped, no built earshot and earshotd beside the test bundle")
        return nil
    }()

    static var isBuilt: Bool { folder != nil }
}

/// A program of the product that runs, its output line by line.
///
/// Started by `posix_spawn`: Foundation's `Process` wants the main thread's run loop.
final class Program: Sendable {
    struct Line: Sendable, CustomStringConvertible {
        let text: String
        /// When it was read.
        let time: Date
        var description: String { text }
    }

    enum Exit: Equatable, Sendable {
        case status(Int32)
        case signal(Int32)
    }

    let name: String
    let processIdentifier: pid_t
    let output: Mailbox<Line>
    let errors: Mailbox<Line>
    private let ending: Mailbox<Exit>
    private let input: Mutex<Int32?>

    /// - Parameters:
    ///   - name: Of a program of the product, or the absolute path of another one.
    ///   - environment: On top of the test's own; an empty value removes.
    ///   - hasInput: Whether standard input is a pipe for ``write(_:)``; else it is empty.
    ///   - isWatched: Sets `WATCHDOG_PID` to the program's own number, as systemd does.
    init(
        _ name: String, _ arguments: [String], environment: [String: String] = [:], hasInput: Bool = false,
        isWatched: Bool = false
    ) throws {
        guard let folder = Product.folder else { throw Failure("\(name) is not built") }
        let path = name.hasPrefix("/") ? name : "\(folder)/\(name)"
        // A program that has ended must not take the test with it.
        signal(SIGPIPE, SIG_IGN)
        self.name = name
        output = Mailbox("\(name)'s output")
        errors = Mailbox("\(name)'s standard error")
        ending = Mailbox("the end of \(name)")

        let inputEnds = hasInput ? try Self.channel() : [open("/dev/null", O_RDONLY | O_CLOEXEC), -1]
        let outputEnds = try Self.channel()
        let errorEnds = try Self.channel()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (end, descriptor) in [(inputEnds[0], Int32(0)), (outputEnds[1], 1), (errorEnds[1], 2)] {
            posix_spawn_file_actions_adddup2(&actions, end, descriptor)
        }
        // The test process ignores SIGPIPE, and its threads block signals; that is not to be inherited.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        var variables = ProcessInfo.processInfo.environment
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM"] { variables[name] = nil }
        variables.merge(environment) { $1 }
        // A shell keeps its number when it becomes the program.
        let shell = isWatched ? ["/bin/sh", "-c", #"WATCHDOG_PID=$$ exec "$0" "$@""#] : []
        let words = shell + [path] + arguments
        let argumentList = words.map { strdup($0) } + [nil]
        let variableList = variables.filter { !$0.value.isEmpty }.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in argumentList + variableList { free(text) } }
        var identifier: pid_t = 0
        let code = posix_spawn(&identifier, words[0], &actions, &attributes, argumentList, variableList)
        for end in [inputEnds[0], outputEnds[1], errorEnds[1]] { close(end) }
        guard code == 0 else { throw Failure("\(path): \(String(cString: strerror(code)))") }
        processIdentifier = identifier
        let child = identifier
        input = Mutex(hasInput ? inputEnds[1] : nil)
        readLines(of: outputEnds[0], into: output)
        readLines(of: errorEnds[0], into: errors)
        Thread.detachNewThread { [ending] in
            var status: Int32 = 0
            while waitpid(child, &status, 0) < 0, errno == EINTR {}
            let signal = status & 0x7F
            ending.put(signal == 0 ? .status((status >> 8) & 0xFF) : .signal(signal))
        }
    }

    /// A connected pair, closed in other children from the start: Glibc's module has no `pipe2`.
    private static func channel() throws -> [Int32] {
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw Failure("socketpair: \(String(cString: strerror(errno)))")
        }
        return ends
    }

    deinit {
        if ending.all.isEmpty { kill(processIdentifier, SIGKILL) }
        closeInput()
    }

    func send(_ signal: Int32) {
        if ending.all.isEmpty { kill(processIdentifier, signal) }
    }

    /// How it ended.
    func exit(within limit: Duration = .seconds(120)) async throws -> Exit {
        guard let exit = try await ending.next(within: limit) else {
            throw Failure("\(name): its end was taken already")
        }
        return exit
    }

    /// Writes to standard input; a thread of its own does, as the pipe is short.
    func write(_ bytes: [UInt8]) async throws {
        guard let descriptor = input.withLock({ $0 }) else { throw Failure("\(name) has no input") }
        let problem: String? = await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                var rest = bytes[...]
                while !rest.isEmpty {
                    let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
                    if count < 0, errno == EINTR { continue }
                    guard count > 0 else { return continuation.resume(returning: String(cString: strerror(errno))) }
                    rest = rest.dropFirst(count)
                }
                continuation.resume(returning: nil)
            }
        }
        if let problem { throw Failure("\(name)'s input: \(problem)") }
    }

    func closeInput() {
        input.withLock { input in
            if let input { close(input) }
            input = nil
        }
    }
}

/// Reads a descriptor line by line on a thread of its own, and closes it at the end.
func readLines(of descriptor: Int32, into mailbox: Mailbox<Program.Line>) {
    Thread.detachNewThread {
        var pending: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            pending += chunk[..<count]
            while let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                mailbox.put(.init(text: String(decoding: pending[..<end], as: UTF8.self), time: Date()))
                pending.removeSubrange(...end)
            }
        }
        if !pending.isEmpty { mailbox.put(.init(text: String(decoding: pending, as: UTF8.self), time: Date())) }
        close(descriptor)
        mailbox.finish()
    }
}

/// What a program that ran to its end left.
struct Outcome {
    let exit: Program.Exit
    let output: [String]
    let errors: [String]
}

/// Runs a program to its end.
func run(
    _ name: String, _ arguments: [String], environment: [String: String] = [:], input: [UInt8]? = nil
) async throws -> Outcome {
    let program = try Program(name, arguments, environment: environment, hasInput: input != nil)
    if let input {
        // One that ends before it has read all is told of by its status.
        try? await program.write(input)
        program.closeInput()
    }
    let exit = try await program.exit()
    return Outcome(
        exit: exit, output: try await program.output.rest().map(\.text),
        errors: try await program.errors.rest().map(\.text))
}

/// A folder that is removed with the value that owns it; short, as sockets lie in it.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/earshot-e2e-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure("mkdtemp: \(errno)") }
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    @discardableResult
    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        try TestSupport.write(bytes, to: file(name))
        return file(name)
    }

    @discardableResult
    func write(_ name: String, _ text: String) throws -> String { try write(name, Array(text.utf8)) }
}

func jsonObject(_ line: String) throws -> [String: Any] {
    guard let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] else {
        throw Failure("not a JSON object: \(line)")
    }
    return object
}
