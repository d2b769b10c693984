import GRDB

/// Why the event store cannot be used; one line that names the file.
package struct EventStoreError: Error, CustomStringConvertible {
    package enum Kind: Sendable {
        /// The place is wrong: no such directory, no right to write, another program's file.
        case unusable
        /// Another daemon writes to it.
        case inUse
        /// Written by a later version.
        case newer
        /// No room on the file system, or the quota is used up.
        case full
        /// Not a database any more, or contradicts itself.
        case damaged
        /// Anything else that reading or writing may meet, such as an input/output error.
        case failed
    }

    package let kind: Kind
    package let description: String

    /// Whether it stands for wrong usage or configuration (exit status 2) rather than a failure at work (1).
    package var isWrongInput: Bool { kind == .unusable || kind == .newer }

    init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }

    /// - Parameter path: Of the store.
    init(_ error: any Error, path: String) {
        guard let error = error as? DatabaseError else {
            self = error as? EventStoreError ?? EventStoreError(.failed, "\(path): \(error)")
            return
        }
        let text = error.message ?? error.resultCode.description
        switch error.resultCode {
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: self.init(.damaged, "\(path): damaged: \(text)")
        // Shared memory and new files fail in other words.
        case let code where code == .SQLITE_FULL || hasNoRoom(path):
            self.init(.full, "\(path): no room to write: \(text)")
        default: self.init(.failed, "\(path): \(text)")
        }
    }
}
