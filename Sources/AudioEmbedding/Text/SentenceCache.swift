import Foundation

/// Sentence embeddings kept on disk from run to run, in one file of a folder that several processes may share.
///
/// Nothing here fails: a cache that cannot be read or written costs time, not the start. What went wrong is logged.
struct SentenceCache: Sendable {
    /// The oldest sentences beyond this many are dropped; 15 MB.
    static let maximumCount = 20_000

    private let directory: String
    private let lockAttempts: Int
    private let log: @Sendable (String) -> Void

    /// - Parameter lockAttempts: how often to try for the lock, every 10 ms; a writer holds it for milliseconds.
    init(directory: String, lockAttempts: Int = 200, log: @escaping @Sendable (String) -> Void) {
        self.directory = directory
        self.lockAttempts = lockAttempts
        self.log = log
    }

    private var path: String { directory + "/sentences.safetensors" }

    /// What is stored; nil where there is nothing, or nothing usable.
    /// - Parameter identity: the text encoder whose embeddings are wanted; nil takes any (where none is installed).
    func load(identity: String?) -> SentenceStore? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        do {
            let store = try SentenceStore(path: path)
            guard identity == nil || identity == store.identity else {
                log("label cache \(path) is of another text encoder and will be replaced")
                return nil
            }
            return store
        } catch {
            log("label cache ignored and rebuilt: \(error)")
            return nil
        }
    }

    /// Adds embeddings to what is stored by now: another process may have written since ``load(identity:)``.
    func add(_ added: SentenceStore) {
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        } catch {
            return log("label cache not written: \(directory): \(SentenceStore.reason(error))")
        }
        let lock = open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard lock >= 0 else {
            return log("label cache not written: \(path).lock: \(String(cString: strerror(errno)))")
        }
        // Closing gives the lock back; so does the end of the process, however it comes.
        defer { close(lock) }
        guard acquire(lock) else { return log("label cache not written: \(path).lock: held by another process") }
        var store = load(identity: added.identity) ?? SentenceStore(identity: added.identity)
        for sentence in added.sentences {
            if let embedding = added.embedding(of: sentence) { store.set(sentence, to: embedding) }
        }
        store.dropFirst(downTo: Self.maximumCount)
        do {
            try store.write(to: path)
        } catch {
            log("label cache not written: \(error)")
        }
    }

    private func acquire(_ lock: Int32) -> Bool {
        for _ in 0..<lockAttempts {
            if flock(lock, LOCK_EX | LOCK_NB) == 0 { return true }
            guard errno == EWOULDBLOCK || errno == EINTR else { return false }
            usleep(10_000)
        }
        return false
    }
}
