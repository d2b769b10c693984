#if canImport(Glibc)
    import Glibc
#endif

/// Why the server cannot listen; one line that names the path.
package struct EventServerError: Error, Equatable, CustomStringConvertible {
    package let description: String

    init(_ description: String) {
        self.description = description
    }

    init(_ action: String, code: CInt) {
        description = "\(action): \(String(cString: strerror(code)))"
    }
}

/// A listening Unix socket and its file.
///
/// The file appears with its final rights or narrower ones: the mode is set on the socket before it is bound, and
/// nobody can connect until it listens, which is after mode and group are set.
package struct SocketFile: Sendable {
    /// Listens, or is bound at least.
    package let descriptor: CInt
    package let path: String
    /// Nil for a socket that the service manager made: its file is not ours to remove.
    private let identity: FileIdentity?

    /// Under these a missing directory is made; elsewhere it is more likely a misspelt path.
    package static var runDirectories: [String] {
        var directories = ["/run", "/var/run"]
        for variable in ["XDG_RUNTIME_DIR", "RUNTIME_DIRECTORY"] {
            if let value = getenv(variable) { directories.append(String(cString: value)) }
        }
        return directories
    }

    /// Longest path that fits `sun_path` with its final zero.
    static let maximumPathLength = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

    /// A listening Unix socket that the service manager has passed.
    ///
    /// - Throws: ``EventServerError`` where the descriptor is something else.
    package init(passed descriptor: CInt) throws(EventServerError) {
        var address = sockaddr_un()
        var length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        var isListening: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        guard code == 0, address.sun_family == sa_family_t(AF_UNIX),
            getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &isListening, &size) == 0, isListening == 1
        else {
            throw EventServerError(
                "descriptor \(descriptor) of the service manager is not a listening Unix socket (ListenStream=/PATH)")
        }
        self.descriptor = descriptor
        path = withUnsafeBytes(of: &address.sun_path) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        identity = nil
    }

    /// - Parameters:
    ///   - mode: Rights of the file, such as `0o660`: who may write may connect.
    ///   - group: Name or number of the file's group; nil leaves the process's own.
    /// - Throws: ``EventServerError`` where the path cannot be used.
    package init(
        path: String, mode: UInt32, group: String?, backlog: CInt = 256,
        runDirectories: [String] = SocketFile.runDirectories
    ) throws(EventServerError) {
        var address = try SocketFile.address(path)
        let groupNumber = try group.map { name throws(EventServerError) in try SocketFile.groupNumber(name) }
        try SocketFile.makeDirectory(of: path, runDirectories: runDirectories)
        try SocketFile.removeStale(path, address: &address)

        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw EventServerError("cannot make a socket", code: errno) }
        do throws(EventServerError) {
            // Linux gives the file the rights of the unbound socket, less the umask.
            fchmod(descriptor, mode)
            guard SocketFile.withPointer(to: &address, { bind(descriptor, $0, $1) }) == 0 else {
                throw EventServerError(
                    errno == EADDRINUSE ? "another program has just made socket \(path)" : "cannot make socket \(path)",
                    code: errno)
            }
            guard let identity = FileIdentity(ofSocketAt: path) else {
                throw EventServerError("socket \(path) was removed while it was set up")
            }
            do throws(EventServerError) {
                try SocketFile.setRights(of: path, mode: mode, group: group, number: groupNumber)
                guard listen(descriptor, backlog) == 0 else {
                    throw EventServerError("cannot listen on socket \(path)", code: errno)
                }
                // Two daemons started at the same moment may each take the other's new file for a stale one.
                guard FileIdentity(ofSocketAt: path) == identity else {
                    throw EventServerError("another program has just replaced socket \(path)")
                }
            } catch {
                if FileIdentity(ofSocketAt: path) == identity { unlink(path) }
                throw error
            }
            self.descriptor = descriptor
            self.path = path
            self.identity = identity
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// Removes the file if it was made here and still is that one, not a successor's.
    package func remove() {
        if let identity, FileIdentity(ofSocketAt: path) == identity { unlink(path) }
    }

    // MARK: Steps

    private static func address(_ path: String) throws(EventServerError) -> sockaddr_un {
        guard !path.isEmpty, !path.utf8.contains(0) else {
            throw EventServerError("the socket path is empty or has a zero byte in it")
        }
        guard path.utf8.count <= maximumPathLength else {
            throw EventServerError(
                "socket path \(path) has \(path.utf8.count) bytes; at most \(maximumPathLength) are possible")
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return address
    }

    private static func groupNumber(_ name: String) throws(EventServerError) -> gid_t {
        if let number = gid_t(name) { return number }
        var entry = group()
        var result: UnsafeMutablePointer<group>?
        var buffer = [CChar](repeating: 0, count: 65_536)
        let code = getgrnam_r(name, &entry, &buffer, buffer.count, &result)
        guard code == 0, result != nil else {
            throw EventServerError("the socket's group \"\(name)\" does not exist on this system")
        }
        return entry.gr_gid
    }

    private static func makeDirectory(of path: String, runDirectories: [String]) throws(EventServerError) {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return }
        let directory = String(path[..<slash])
        var status = stat()
        if stat(directory, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFDIR else {
                throw EventServerError("cannot make socket \(path): \(directory) is not a directory")
            }
            return
        }
        let isRunDirectory = runDirectories.contains { directory == $0 || directory.hasPrefix($0 + "/") }
        guard isRunDirectory else {
            throw EventServerError("cannot make socket \(path): directory \(directory) does not exist")
        }
        guard mkdir(directory, 0o755) == 0 || errno == EEXIST else {
            throw EventServerError("cannot make directory \(directory) for the socket", code: errno)
        }
    }

    /// Makes room at `path`: removes a socket that nobody listens on. Anything else is an error.
    private static func removeStale(_ path: String, address: inout sockaddr_un) throws(EventServerError) {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT { return }
            throw EventServerError("cannot look at socket \(path)", code: errno)
        }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw EventServerError(
                "\(path) exists and is not a socket; it is left alone: remove it or change socket.path")
        }
        let probe = socket(
            AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard probe >= 0 else { throw EventServerError("cannot make a socket", code: errno) }
        let connected = withPointer(to: &address) { connect(probe, $0, $1) }
        let code = errno
        close(probe)
        // A server with a full backlog is alive too.
        if connected == 0 || code == EAGAIN {
            throw EventServerError("another program is listening on socket \(path): is earshotd running already?")
        }
        if code == ENOENT { return }
        guard code == ECONNREFUSED else { throw EventServerError("cannot use socket \(path)", code: code) }
        // Moved aside first, so that a file that came in between is seen and put back.
        let aside = "\(path).\(getpid()).stale"
        guard rename(path, aside) == 0 else {
            if errno == ENOENT { return }
            throw EventServerError("cannot remove the stale socket \(path)", code: errno)
        }
        if FileIdentity(ofSocketAt: aside) != FileIdentity(status) {
            link(aside, path)
            unlink(aside)
            throw EventServerError("another program has just made socket \(path)")
        }
        unlink(aside)
    }

    private static func setRights(
        of path: String, mode: UInt32, group: String?, number: gid_t?
    ) throws(EventServerError) {
        if let number, lchown(path, uid_t.max, number) != 0 {
            throw EventServerError("cannot give socket \(path) to group \(group ?? "")", code: errno)
        }
        // The umask may have taken rights away.
        guard chmod(path, mode) == 0 else {
            throw EventServerError("cannot set the mode of socket \(path)", code: errno)
        }
    }

    private static func withPointer<Result>(
        to address: inout sockaddr_un, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}

/// Which file a path leads to.
private struct FileIdentity: Equatable, Sendable {
    let device: UInt
    let inode: UInt
    /// Inode numbers are used again; a new file with an old number differs here.
    let modified: Int64

    init(_ status: stat) {
        device = UInt(status.st_dev)
        inode = UInt(status.st_ino)
        modified = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
    }

    /// Nil if there is no socket at the path itself (links are not followed).
    init?(ofSocketAt path: String) {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return nil }
        self.init(status)
    }
}
