import Glibc

/// A user with its groups, as far as rights of files go.
struct Account: Sendable {
    let name: String
    let user: uid_t
    var groups: Set<gid_t>

    init(name: String, user: uid_t, groups: Set<gid_t>) {
        (self.name, self.user, self.groups) = (name, user, groups)
    }

    /// The user that this process runs as.
    static var current: Account {
        var groups = [gid_t](repeating: 0, count: 65_536)
        let count = max(0, Int(getgroups(CInt(groups.count), &groups)))
        let name = getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) } ?? "user \(geteuid())"
        return Account(name: name, user: geteuid(), groups: Set(groups[..<count] + [getegid()]))
    }

    /// Nil where there is no such user.
    ///
    /// - Parameter supplementaryGroups: Names of groups that it gets besides its own (`SupplementaryGroups=`).
    init?(named name: String, supplementaryGroups: [String]) {
        guard let entry = getpwnam(name)?.pointee else { return nil }
        var groups = [gid_t](repeating: 0, count: 1024)
        var count = CInt(groups.count)
        guard getgrouplist(name, entry.pw_gid, &groups, &count) >= 0 else { return nil }
        let others = supplementaryGroups.compactMap { getgrnam($0)?.pointee.gr_gid }
        self.init(name: name, user: entry.pw_uid, groups: Set(groups[..<Int(count)] + others))
    }

    /// Whether owner, group and mode of a file let this user read and write it. Access lists are not looked at.
    func mayOpen(_ path: String) -> Bool {
        var status = stat()
        guard stat(path, &status) == 0 else { return false }
        if user == 0 { return true }
        let shift: mode_t = status.st_uid == user ? 6 : groups.contains(status.st_gid) ? 3 : 0
        return (status.st_mode >> shift) & 0o6 == 0o6
    }

    static func groupName(of path: String) -> String? {
        var status = stat()
        guard stat(path, &status) == 0, let group = getgrgid(status.st_gid) else { return nil }
        return String(cString: group.pointee.gr_name)
    }
}
