import DaemonConfiguration
import EventStore
import Glibc

extension Diagnosis {
    /// Opens the event store for reading and checks its structure.
    ///
    /// - Parameter path: What the running daemon says; nil where none does.
    func checkStore(path: String?) -> Finding {
        guard configuration.store.isOn else { return .ok("store", "off (`store: off`)") }
        let path =
            path ?? configuration.store.path ?? EventStore.Configuration.servicePath ?? "/var/lib/earshot/events.db"
        guard access(path, F_OK) == 0 || errno != ENOENT else {
            return .warn("store", "there is no \(path) yet", "the daemon makes it at its first start")
        }
        do {
            let reader = try EventStoreReader(path: path)
            guard reader.isIntact() else {
                return .fail(
                    "store", "\(path) is damaged", "restart earshotd: it sets the file aside and begins a new one")
            }
            return .ok("store", "\(path), up to number \(try reader.lastSequence())")
        } catch let error as EventStoreError {
            let advice =
                error.kind == .damaged
                ? "restart earshotd: it sets the file aside and begins a new one"
                : "run this as root or as the user earshot; else see `store.path` in the configuration"
            return .fail("store", "\(error)", advice)
        } catch {
            return .fail("store", "\(error)", nil)
        }
    }
}
