import Foundation

@testable import AudioCapture

/// A PulseAudio daemon of the test's own, with one null sink, `earshot`.
final class PulseServer {
    let folder: TemporaryFolder
    var address: String { "unix:\(folder.file("socket"))" }

    private let daemon = Process()
    private let player = Process()
    private let environment: [String: String]

    /// - Returns: `nil` where PulseAudio is not installed or does not come up.
    init?() throws {
        folder = try TemporaryFolder()
        environment = ProcessInfo.processInfo.environment.merging(
            ["HOME": folder.path, "XDG_RUNTIME_DIR": folder.path, "PULSE_RUNTIME_PATH": folder.path]
        ) { $1 }
        guard FileManager.default.isExecutableFile(atPath: "/usr/bin/pulseaudio"),
            FileManager.default.isExecutableFile(atPath: "/usr/bin/pacat")
        else { return nil }
        let socket = folder.file("socket")
        daemon.executableURL = URL(fileURLWithPath: "/usr/bin/pulseaudio")
        daemon.arguments = [
            "-n", "--daemonize=no", "--system=false", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes",
            "-L", "module-native-protocol-unix auth-anonymous=1 socket=\(socket)",
            "-L", "module-null-sink sink_name=earshot rate=48000 channels=2",
        ]
        daemon.environment = environment
        daemon.standardError = FileHandle.nullDevice
        daemon.standardOutput = FileHandle.nullDevice
        try daemon.run()
        for _ in 0..<100 {
            if FileManager.default.fileExists(atPath: socket) { return }
            if !daemon.isRunning { return nil }
            usleep(100_000)
        }
        daemon.terminate()
        return nil
    }

    /// Plays mono samples at 48 kHz on both channels of the sink, in the background.
    func play(_ samples: [Float]) throws {
        let raw = try folder.write("tone.raw", encode(interleave([samples, samples]), as: .float))
        player.executableURL = URL(fileURLWithPath: "/usr/bin/pacat")
        player.arguments = [
            "--server=\(address)", "--device=earshot", "--raw", "--format=float32le", "--rate=48000", "--channels=2",
            raw,
        ]
        player.environment = environment
        player.standardError = FileHandle.nullDevice
        try player.run()
    }

    /// Kills both at once; nothing waits for their end, Foundation reaps them.
    func stop() {
        for process in [daemon, player] where process.isRunning {
            kill(process.processIdentifier, SIGKILL)
        }
    }

    deinit { stop() }
}
