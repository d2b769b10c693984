import Foundation

/// Where the model, the bundled label files and the text encoder lie.
///
/// Looked for in this order: the environment (`EARSHOT_MODEL`, `EARSHOT_LABELS`, `EARSHOT_TEXT_ENCODER`), beside the
/// installed program (`PREFIX/bin/..` → `PREFIX/share/earshot`), and upwards from the program and from the working
/// directory (a checkout).
package enum ResourceLocations {
    /// The default model's directory name below `models/`.
    package static let defaultModelName = "earshot-mn04"

    /// The model directory, or nil where none is found.
    package static var model: String? {
        find(variable: "EARSHOT_MODEL", relative: "models/\(defaultModelName)", holding: "config.json")
    }

    /// The directory of the bundled label files, or nil.
    package static var labels: String? {
        find(variable: "EARSHOT_LABELS", relative: "labels", holding: "esc50.txt")
    }

    /// What the daemon listens for where nothing is configured, or nil.
    package static var defaultLabelFile: String? { labels.map { $0 + "/home-safety.txt" } }

    /// The sentence encoder's directory, or nil: it is needed only for labels in no cache.
    package static var textEncoder: String? {
        find(variable: "EARSHOT_TEXT_ENCODER", relative: "models/text/all-MiniLM-L6-v2", holding: "model.safetensors")
    }

    /// The user's cache of label embeddings: `$XDG_CACHE_HOME/earshot` or `~/.cache/earshot`; under systemd the unit's
    /// cache directory.
    package static var cache: String {
        let environment = ProcessInfo.processInfo.environment
        // systemd lists several directories with colons; the XDG specification ignores relative paths.
        if let directory = environment["CACHE_DIRECTORY"]?.split(separator: ":").first { return String(directory) }
        if let directory = environment["XDG_CACHE_HOME"], directory.hasPrefix("/") { return directory + "/earshot" }
        return NSHomeDirectory() + "/.cache/earshot"
    }

    /// The event socket where none is configured: the system's when it can be there, else the user's runtime folder.
    package static var socket: String {
        let environment = ProcessInfo.processInfo.environment
        if let path = environment["EARSHOT_SOCKET"], !path.isEmpty { return path }
        if let directory = environment["RUNTIME_DIRECTORY"], !directory.isEmpty { return directory + "/earshot.sock" }
        let system = "/run/earshot/earshot.sock"
        if FileManager.default.fileExists(atPath: system) || geteuid() == 0 { return system }
        if let directory = environment["XDG_RUNTIME_DIR"], !directory.isEmpty { return directory + "/earshot.sock" }
        return system
    }

    /// The control socket where none is named: beside the event socket.
    package static var controlSocket: String {
        let folder = socket.lastIndex(of: "/").map { String(socket[..<$0]) } ?? "."
        return folder + "/control.sock"
    }

    private static func find(variable: String, relative: String, holding file: String) -> String? {
        if let path = ProcessInfo.processInfo.environment[variable], !path.isEmpty { return path }
        let program = URL(fileURLWithPath: CommandLine.arguments.first ?? "").resolvingSymlinksInPath()
        let executable = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? program.path
        var starts = [URL(fileURLWithPath: executable).deletingLastPathComponent()]
        starts.append(URL(fileURLWithPath: FileManager.default.currentDirectoryPath))
        for start in starts {
            var directory = start
            while true {
                for base in [directory, directory.appendingPathComponent("share/earshot")] {
                    let candidate = base.appendingPathComponent(relative)
                    if FileManager.default.fileExists(atPath: candidate.appendingPathComponent(file).path) {
                        return candidate.path
                    }
                }
                let parent = directory.deletingLastPathComponent()
                if parent.path == directory.path { break }
                directory = parent
            }
        }
        return nil
    }
}
