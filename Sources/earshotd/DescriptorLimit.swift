import Glibc
import Logging

/// Descriptors for clients, which must not take those that sources and the store need: without one a device cannot be
/// opened again.
enum DescriptorLimit {
    /// For everything but clients.
    private static let reserve = 64

    /// Raises this process's limit as far as that many clients need and the system allows.
    ///
    /// - Returns: How many clients there may be, at least 1.
    static func clients(wanted: Int) -> Int {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0 else { return wanted }
        if limit.rlim_cur < rlim_t(wanted + reserve) {
            limit.rlim_cur = min(rlim_t(wanted + reserve), limit.rlim_max)
            setrlimit(resource, &limit)
        }
        let possible = Int(clamping: limit.rlim_cur) - reserve
        if possible < wanted {
            Logger(label: "earshotd").warning(
                """
                only \(max(1, possible)) of \(wanted) clients are possible with \(limit.rlim_cur) open files; raise \
                LimitNOFILE= or lower socket.maximum_clients
                """)
        }
        return max(1, min(wanted, possible))
    }
}
