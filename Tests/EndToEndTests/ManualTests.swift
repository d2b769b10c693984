import Foundation
import TestSupport
import Testing

/// The manual pages that are written at build time tell of every command, option and setting there is.
@Suite(
    .enabled(if: Product.isBuilt, "the programs are not built"),
    .enabled(if: access("/usr/bin/python3", X_OK) == 0, "python3 is not installed"))
struct ManualTests {
    /// The pages, as text without mdoc's escapes.
    private func pages() async throws -> (folder: TemporaryFolder, text: (String) throws -> String) {
        let folder = try TemporaryFolder()
        let outcome = try await run(
            try #require(checkoutPath("docs/man/generate")), [try #require(Product.folder), folder.path])
        #expect(outcome.exit == .status(0) && outcome.errors.isEmpty, "\(outcome)")
        return (
            folder,
            { name in
                try String(contentsOfFile: folder.file(name), encoding: .utf8)
                    .replacing("\\-", with: "-").replacing("\\&", with: "")
            }
        )
    }

    @Test(arguments: [
        ("earshotd", "earshotd.8", [[]]),
        (
            "earshot", "earshot.1",
            [
                ["detect"], ["classify"], ["evaluate", "tagging"], ["evaluate", "streams"], ["watch"], ["status"],
                ["devices"], ["labels", "check"], ["bench"],
            ]
        ),
    ])
    func everyOptionIsThere(program: String, page: String, commands: [[String]]) async throws {
        let (_, text) = try await pages()
        let manual = try text(page)
        for command in commands {
            let help = try await run(program, command + ["--help"]).output
            // The part of the page that is about this command.
            let part =
                command.isEmpty
                ? manual
                : manual.components(separatedBy: "\n.S").first {
                    $0.hasPrefix("s \(command.joined(separator: " "))\n")
                } ?? ""
            let options = help.compactMap { $0.firstMatch(of: /^  (?:-[a-z], )?--([a-z-]+)/).map { String($0.1) } }
            #expect(!options.isEmpty)
            for option in options where option != "help" {
                #expect(part.contains(#""-\#(option)""#) || part.contains("Fl -\(option)"), "\(command) --\(option)")
            }
        }
        // No command is left out here.
        if program == "earshot" {
            let listed = try await run(program, ["--help"]).output
                .drop { !$0.hasPrefix("SUBCOMMANDS") }.compactMap { $0.firstMatch(of: /^  ([a-z]+)\s/) }
            #expect(!listed.isEmpty)
            for name in listed {
                #expect(manual.contains("\n.Ss \(name.1)"), "\(name.1)")
            }
        }
    }

    @Test func everySettingIsThere() async throws {
        let (_, text) = try await pages()
        let manual = try text("earshot.yaml.5")
        let example = try String(
            contentsOfFile: try #require(checkoutPath("systemd/earshot.yaml")), encoding: .utf8)
        let settings = example.split(separator: "\n").compactMap { line in
            line.firstMatch(of: /^(?:#(?! [^ ]))? *(?:- )?([a-z_]+):(?: |$)/).map { String($0.1) }
        }
        #expect(settings.count > 20)
        for setting in settings {
            #expect(manual.firstMatch(of: try Regex(#"\.It Ic "([a-z_]+\.)*\#(setting)""#)) != nil, "\(setting)")
        }
        #expect(!manual.contains("\n@"))
    }
}
