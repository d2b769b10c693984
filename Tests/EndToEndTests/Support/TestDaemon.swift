import Foundation
import TestSupport
import Testing

/// A folder with a model that hears every sound as an event of its labels, whatever the trained weights are.
struct Workplace {
    /// Their prompts are known to the model without a text encoder.
    static let labels = ["dog", "siren", "rain", "glass breaking"]

    let folder: TemporaryFolder
    let model: String

    init() throws {
        folder = try TemporaryFolder()
        let prompts = Self.labels.map { "This is a sound of \($0)." }
        guard let model = try makeDerivedModel(in: folder.path, prompts: prompts) else {
            throw Failure("the checkout has no model")
        }
        self.model = model
    }

    /// Options that keep a program from all places but this one.
    var options: [String] {
        ["--model", model, "--text-encoder", folder.file("no-text-encoder"), "--cache", folder.file("cache")]
    }

    func labelFile(_ lines: String..., name: String = "labels.txt") throws -> String {
        try folder.write(name, lines.joined(separator: "\n") + "\n")
    }

    /// The tool with this model.
    func earshot(_ command: String..., arguments: [String], input: [UInt8]? = nil) async throws -> Outcome {
        try await run("earshot", command + options + arguments, input: input)
    }
}

/// A daemon with a socket in a folder of its own.
struct TestDaemon {
    let program: Program
    let socket: String

    /// Starts it and waits until it listens.
    init(
        _ place: Workplace, _ arguments: [String], environment: [String: String] = [:], hasInput: Bool = false,
        isWatched: Bool = false
    ) async throws {
        socket = place.folder.file("e.sock")
        program = try Program(
            "earshotd", place.options + ["--socket", socket] + arguments, environment: environment, hasInput: hasInput,
            isWatched: isWatched)
        _ = try await program.errors.first("line that tells of the socket") { $0.text.contains("listening socket=") }
    }

    /// A client that has read its hello.
    func subscriber() async throws -> (subscriber: Subscriber, hello: Message) {
        let subscriber = try Subscriber(socket)
        return (subscriber, try await subscriber.message("hello"))
    }

    /// The first source in the reply to `status`.
    func source(_ subscriber: Subscriber) async throws -> [String: Any] {
        let status = try await subscriber.result("status")
        return try #require((status["sources"] as? [[String: Any]])?.first)
    }

    /// All sources in the reply to `status`, by name.
    func sources(_ subscriber: Subscriber) async throws -> [String: [String: Any]] {
        let status = try await subscriber.result("status")
        let sources = try #require(status["sources"] as? [[String: Any]])
        return Dictionary(uniqueKeysWithValues: sources.map { ($0["name"] as? String ?? "", $0) })
    }

    /// Sends SIGHUP and waits until its outcome is in the log.
    func reload() async throws -> String {
        program.send(SIGHUP)
        return try await program.errors.first("outcome of the reload") {
            $0.text.contains("reloaded: ") || $0.text.contains("reload failed")
        }.text
    }

    /// Ends it as a service manager does.
    func stop(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        program.send(SIGTERM)
        try await end(sourceLocation: sourceLocation)
    }

    /// Waits for its good end.
    func end(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let exit = try await program.exit()
        #expect(exit == .status(0), "\(program.errors.all)", sourceLocation: sourceLocation)
        #expect(access(socket, F_OK) != 0, "the socket is gone", sourceLocation: sourceLocation)
    }
}

/// Raw input for `--source -`: a sound of that length.
func sound(_ seconds: Double) -> [UInt8] { rawSamples(noise(seconds: seconds)) }
func stillness(_ seconds: Double) -> [UInt8] { rawSamples(silence(seconds: seconds)) }
