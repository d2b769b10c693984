import Foundation
import TestSupport

/// A PulseAudio daemon of the test's own with one null sink, `earshot`, into which a sound plays; its monitor is a
/// microphone for ALSA's pulse plugin.
final class PulseServer {
    static let isInstalled = ["/usr/bin/pulseaudio", "/usr/bin/pacat"].allSatisfy {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    /// ALSA's configuration of `pcm.microphone`.
    let configuration: String
    private let folder: TemporaryFolder
    private let sound: String
    private var server: Program?
    private var player: Program?

    private var environment: [String: String] {
        ["HOME": folder.path, "XDG_RUNTIME_DIR": folder.path, "PULSE_RUNTIME_PATH": folder.path]
    }
    private var socket: String { folder.file("pulse") }

    init(_ folder: TemporaryFolder) throws {
        self.folder = folder
        configuration = try folder.write(
            "pulse.conf",
            "pcm.microphone { type pulse server \"unix:\(folder.file("pulse"))\" device \"earshot.monitor\" }\n")
        sound = try folder.write("sound.raw", rawSamples(noise(seconds: 120)))
    }

    /// Starts it and plays.
    func start() async throws {
        unlink(socket)
        server = try Program(
            "/usr/bin/pulseaudio",
            [
                "-n", "--daemonize=no", "--system=false", "--exit-idle-time=-1", "--use-pid-file=no",
                "--disable-shm=yes", "-L", "module-native-protocol-unix auth-anonymous=1 socket=\(socket)",
                "-L", "module-null-sink sink_name=earshot rate=48000 channels=2",
            ], environment: environment)
        try await eventually("PulseAudio's socket") { access(socket, F_OK) == 0 }
        try play()
    }

    /// Plays the sound from its beginning.
    func play() throws {
        player?.send(SIGKILL)
        player = try Program(
            "/usr/bin/pacat",
            [
                "--server=unix:\(socket)", "--device=earshot", "--raw", "--format=s16le", "--rate=32000",
                "--channels=1", sound,
            ],
            environment: environment)
    }

    func send(_ signal: Int32) { server?.send(signal) }

    /// Kills both.
    func kill() async throws {
        player?.send(SIGKILL)
        server?.send(SIGKILL)
        _ = try await server?.exit()
        (server, player) = (nil, nil)
    }
}

/// Waits until a condition holds that nothing tells of.
func eventually(_ what: String, within limit: Duration = .seconds(60), _ condition: () async throws -> Bool)
    async throws
{
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard .now < deadline else { throw Failure("\(what): not in time") }
        try await Task.sleep(for: .milliseconds(50))
    }
}
