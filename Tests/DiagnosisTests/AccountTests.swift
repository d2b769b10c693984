import Foundation
import Testing

@testable import Diagnosis

@Suite struct AccountTests {
    /// A file of this process's own with these rights.
    private func withFile(_ mode: mode_t, _ body: (String, stat) throws -> Void) throws {
        let path = NSTemporaryDirectory() + "earshot-account-\(getpid())-\(mode)"
        try Data().write(to: URL(fileURLWithPath: path))
        defer { unlink(path) }
        chmod(path, mode)
        var status = stat()
        #expect(stat(path, &status) == 0)
        try body(path, status)
    }

    @Test func ownerGroupAndOthersAreToldApart() throws {
        try withFile(0o660) { path, status in
            let stranger = status.st_uid + 4711
            #expect(Account(name: "a", user: stranger, groups: [status.st_gid]).mayOpen(path))
            #expect(!Account(name: "a", user: stranger, groups: [status.st_gid + 1]).mayOpen(path))
            #expect(Account(name: "root", user: 0, groups: []).mayOpen(path))
        }
        try withFile(0o606) { path, status in
            let stranger = status.st_uid + 4711
            // The group counts, even where others may more.
            #expect(!Account(name: "a", user: stranger, groups: [status.st_gid]).mayOpen(path))
            #expect(Account(name: "a", user: stranger, groups: [status.st_gid + 1]).mayOpen(path))
        }
        try withFile(0o440) { path, status in
            #expect(!Account(name: "a", user: status.st_uid + 4711, groups: [status.st_gid]).mayOpen(path))
        }
        #expect(!Account.current.mayOpen("/nowhere/at/all"))
    }

    @Test func supplementaryGroupsCount() throws {
        let nobody = try #require(Account(named: "nobody", supplementaryGroups: ["audio"]))
        let audio = try #require(getgrnam("audio")).pointee.gr_gid
        #expect(nobody.groups.contains(audio))
        #expect(Account(named: "nobody", supplementaryGroups: [])?.groups.contains(audio) == false)
        #expect(Account(named: "no such user", supplementaryGroups: []) == nil)
    }
}
