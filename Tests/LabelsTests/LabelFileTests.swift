import Foundation
import Labels
import Testing

private func entries(_ text: String) throws -> [LabelEntry] {
    try LabelFile(bytes: Array(text.utf8), path: "my.txt").entries
}

/// The one line that a user sees.
private func message(_ text: String) -> String { message(bytes: Array(text.utf8)) }

private func message(bytes: [UInt8]) -> String {
    do {
        _ = try LabelFile(bytes: bytes, path: "my.txt")
        return "no error"
    } catch {
        return "\(error)"
    }
}

@Suite struct LabelFileSyntax {
    @Test func plainLabelsGoThroughTheTemplate() throws {
        let parsed = try entries("dog\n\n  glass   breaking \t\ndoor_bell")
        #expect(parsed.map(\.name) == ["dog", "glass breaking", "door_bell"])
        #expect(
            parsed.map(\.prompts) == [
                ["This is a sound of dog."], ["This is a sound of glass breaking."], ["This is a sound of door_bell."],
            ])
        #expect(parsed.map(\.line) == [1, 3, 4])
        #expect(parsed.allSatisfy { $0.threshold == nil && $0.cooldown == nil && $0.group == nil })
    }

    @Test func ownTemplate() throws {
        let file = try LabelFile(bytes: Array("dog".utf8), path: "x", template: "{label}, {a} {label}")
        #expect(file.entries[0].prompts == ["dog, {a} dog"])
    }

    @Test func promptsAndSettings() throws {
        let line =
            "smoke alarm = a beep | It goes  BEEP = loud [threshold=0.6, cooldown=30s , min_length=300ms,group=my alarms]"
        let entry = try #require(try entries(line).first)
        #expect(entry.name == "smoke alarm")
        #expect(entry.prompts == ["a beep", "It goes  BEEP = loud"])
        #expect(entry.threshold == 0.6)
        #expect(entry.cooldown == 30)
        #expect(entry.minimumLength == 0.3)
        #expect(entry.group == "my alarms")
    }

    @Test(arguments: [
        ("0s", 0), ("250ms", 0.25), ("1.5s", 1.5), ("2 s", 2), ("10m", 600), ("24h", 86_400),
    ])
    func durations(text: String, seconds: Double) throws {
        let cooldown = try entries("dog [cooldown=\(text)]").first?.cooldown
        #expect(cooldown.map { abs($0 - seconds) < 1e-9 } == true)
    }

    @Test func comments() throws {
        let text = """
            # dog
              # indented
            cat # trailing
            c# note\t# after a tab
            key #1 = never read
            """
        #expect(try entries(text).map(\.name) == ["cat", "c# note", "key"])
    }

    @Test func byteOrderMarkAndCarriageReturns() throws {
        let bytes = [0xEF, 0xBB, 0xBF] + Array("dog\r\n# c\r\n\r\ncat [group=a]\r\n".utf8)
        let parsed = try LabelFile(bytes: bytes, path: "x").entries
        #expect(parsed.map(\.name) == ["dog", "cat"])
        #expect(parsed.map(\.line) == [1, 4])
    }

    @Test func anyScript() throws {
        let labels = ["狗叫", "Hundegebell für Größe", "دق الباب", "👩‍🚒 siren", "ξύλο"]
        #expect(try entries(labels.joined(separator: "\n")).map(\.name) == labels)
    }

    /// Writing what was parsed and parsing it again changes nothing.
    @Test func roundTrip() throws {
        var generator = SystemRandomNumberGenerator()
        let words = ["dog", "glass breaking", "ü", "a#b", "狗", "x-y", "3 knocks"]
        for _ in 0..<200 {
            var lines: [String] = []
            for (index, word) in words.shuffled(using: &generator).enumerated() {
                var line = "\(word) \(index)"
                if Bool.random(using: &generator) { line += " = p\(index) | q" }
                if Bool.random(using: &generator) { line += " [threshold=0.\(Int.random(in: 0...9)), group=g]" }
                lines.append(line)
                if Bool.random(using: &generator) { lines.append("  # \(word)") }
            }
            let first = try entries(lines.joined(separator: "\n"))
            let written = first.map { entry in
                "\(entry.name)=\(entry.prompts.joined(separator: "|"))"
                    + (entry.threshold.map { "[threshold=\($0),group=\(entry.group ?? "")]" } ?? "")
            }
            let second = try entries(written.joined(separator: "\r\n"))
            #expect(first.map(\.name) == second.map(\.name))
            #expect(first.map(\.prompts) == second.map(\.prompts))
            #expect(first.map(\.threshold) == second.map(\.threshold))
            #expect(first.map(\.group) == second.map(\.group))
        }
    }
}

@Suite struct LabelFileErrors {
    @Test(arguments: [
        ("dog\ncat\n Dog ", "my.txt:3: label \"Dog\" is already on line 1"),
        ("\nÉcole\ncat\nE\u{301}COLE = x", "my.txt:4: label \"E\u{301}COLE\" is already on line 2"),
        ("a  b\na b", "my.txt:2: label \"a b\" is already on line 1"),
        (" = a prompt", "my.txt:1: empty label"),
        ("[threshold=0.5]", "my.txt:1: empty label"),
        ("dog =", "my.txt:1: empty prompt of label \"dog\""),
        ("dog = a | | b", "my.txt:1: empty prompt of label \"dog\""),
        ("dog = a | a", "my.txt:1: label \"dog\" has the prompt \"a\" twice"),
        ("dog | cat", "my.txt:1: \"|\" in a label"),
        ("dog [threshold=0.5", "my.txt:1: unexpected \"[\""),
        ("dog ]", "my.txt:1: \"]\" without \"[\""),
        ("dog [a=1] [b=2]", "my.txt:1: unexpected \"[\""),
        ("dog [threshold=0.5] = woof", "my.txt:1: unexpected \"[\""),
        ("dog []", "my.txt:1: no setting between"),
        ("dog [threshold]", "my.txt:1: setting \"threshold\" is not of the form key=value"),
        ("dog [threshold=0.5,]", "my.txt:1: setting \"\" is not of the form key=value"),
        ("dog [treshold=0.5]", "my.txt:1: unknown setting \"treshold\"; there are threshold, cooldown"),
        ("dog [threshold=0.5, threshold=0.6]", "my.txt:1: setting \"threshold\" is given twice"),
        ("dog [threshold=1.01]", "my.txt:1: threshold \"1.01\" is not a number from 0 to 1"),
        ("dog [threshold=nan]", "my.txt:1: threshold \"nan\""),
        ("dog [threshold=0x1]", "my.txt:1: threshold \"0x1\""),
        ("dog [threshold=-0.1]", "my.txt:1: threshold \"-0.1\""),
        ("dog [threshold=]", "my.txt:1: threshold \"\""),
        ("dog [cooldown=30]", "my.txt:1: cooldown \"30\" is not a duration from 0 to 24h with a unit"),
        ("dog [cooldown=25h]", "my.txt:1: cooldown \"25h\""),
        ("dog [min_length=2m]", "my.txt:1: min_length \"2m\" is not a duration from 0 to 60s"),
        ("dog [min_length=-1s]", "my.txt:1: min_length \"-1s\""),
        ("dog [cooldown=1e3s]", "my.txt:1: cooldown \"1e3s\""),
        ("dog [group=]", "my.txt:1: group \"\""),
        ("", "my.txt: the file is empty"),
        ("# only\n\n#comments", "my.txt: the file holds no label"),
        ("dog\nca\u{7}t", "my.txt:2: control character U+0007"),
        ("dog\rcat", "my.txt:1: control character U+000D"),
        ("dog\u{2028}cat", "my.txt:1: control character U+2028"),
    ])
    func messageNamesFileLineAndCure(text: String, expected: String) {
        let found = message(text)
        #expect(found.hasPrefix(expected), "\(found)")
        #expect(!found.contains("\n") && found.count < 400)
    }

    @Test func binaryData() {
        #expect(message(bytes: Array("dog\ncat".utf8) + [0, 1, 2]).hasPrefix("my.txt:2: NUL byte"))
        #expect(message(bytes: Array("dog\n\n".utf8) + [0xC3, 0x28]).hasPrefix("my.txt:3: invalid UTF-8"))
        #expect(message(bytes: [0xED, 0xA0, 0x80]).hasPrefix("my.txt:1: invalid UTF-8"))
        #expect(message(bytes: [0xFF, 0xFE, 0x64, 0x00]).hasPrefix("my.txt: the file is UTF-16"))
    }

    @Test func randomBytesNeverCrash() {
        var generator = SystemRandomNumberGenerator()
        let alphabet: [UInt8] = Array("ab=|[]#, \n\r\t.09sm\u{e9}threshold=".utf8) + [0xFF, 0xF0, 0x9F, 0]
        for _ in 0..<3000 {
            let pool = Bool.random(using: &generator) ? alphabet : Array(alphabet.dropLast(4))
            let bytes = (0..<Int.random(in: 0...60, using: &generator)).map { _ in
                pool.randomElement(using: &generator) ?? 0
            }
            let check = LabelFile.check(bytes: bytes, path: "x")
            #expect((check.file == nil) == !check.problems.isEmpty)
        }
    }

    @Test func bounds() {
        func repeated(_ text: String, _ count: Int) -> String { String(repeating: text, count: count) }
        #expect(message(repeated("é", 200)) == "no error")
        #expect(message(repeated("é", 201)).hasPrefix("my.txt:1: the label has 201 characters; at most 200"))
        #expect(message("dog = " + repeated("p", 501)).contains("501 characters"))
        #expect(message("dog = " + (0..<33).map(String.init).joined(separator: "|")).contains("33 prompts"))
        #expect(message("dog\n#" + repeated("p", 33_000)).hasPrefix("my.txt:2: the line is longer"))
        #expect(message("dog [group=\(repeated("g", 65))]").contains("1 to 64 characters"))
        let many = (0..<10_000).map { "label \($0)" }.joined(separator: "\n")
        #expect(message(many) == "no error")
        #expect(message(many + "\n# comment\none more") == "my.txt:10002: more than 10000 labels")
    }

    @Test func checkListsAllProblems() {
        let text = "dog\n = x\ncat [a=1]\ndog\nowl"
        let check = LabelFile.check(bytes: Array(text.utf8), path: "my.txt")
        #expect(check.file == nil)
        #expect(check.problems.map(\.line) == [2, 3, 4])
        let endless = String(repeating: "dog\n", count: 100_000)
        let many = LabelFile.check(bytes: Array(endless.utf8), path: "my.txt")
        #expect(many.problems.count == LabelFile.Check.maximumProblems)
    }
}

@Suite struct LabelFileReading {
    private func withTemporaryFolder(_ body: (URL) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("labels-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder)
    }

    private func failure(_ path: String) -> String {
        do {
            _ = try LabelFile(path: path)
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test func filesThatAreNone() throws {
        try withTemporaryFolder { folder in
            let missing = folder.appendingPathComponent("missing.txt").path
            #expect(failure(missing) == "\(missing): the label file cannot be read: No such file or directory")
            #expect(failure(folder.path) == "\(folder.path): this is a directory; a label file is a text file")
            #expect(failure("/dev/zero").hasPrefix("/dev/zero: this is no regular file"))
            let pipe = folder.appendingPathComponent("pipe").path
            #expect(mkfifo(pipe, 0o600) == 0)
            #expect(failure(pipe).hasPrefix("\(pipe): this is no regular file"))
            let large = folder.appendingPathComponent("large.txt").path
            try Data(repeating: UInt8(ascii: "\n"), count: LabelFile.Limit.fileBytes + 1).write(
                to: URL(fileURLWithPath: large))
            #expect(failure(large).hasPrefix("\(large): the file is larger than 4 MB"))
            let empty = folder.appendingPathComponent("empty.txt").path
            try Data().write(to: URL(fileURLWithPath: empty))
            #expect(failure(empty).hasPrefix("\(empty): the file is empty"))
            if geteuid() != 0 {
                let secret = folder.appendingPathComponent("secret.txt").path
                try Data("dog".utf8).write(to: URL(fileURLWithPath: secret))
                #expect(chmod(secret, 0) == 0)
                #expect(failure(secret) == "\(secret): the label file cannot be read: Permission denied")
            }
        }
    }

    @Test func readsAFile() throws {
        try withTemporaryFolder { folder in
            let url = folder.appendingPathComponent("mine.txt")
            try Data("dog\ncat = meow\n".utf8).write(to: url)
            let file = try LabelFile(path: url.path)
            #expect(file.path == url.path)
            #expect(file.entries.map(\.name) == ["dog", "cat"])
        }
    }
}

@Suite struct ShippedLabelFiles {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("labels")

    @Test(arguments: ["esc50", "home-safety", "baby-and-pets", "urban", "nature"])
    func parses(name: String) throws {
        let file = try LabelFile(path: ShippedLabelFiles.folder.appendingPathComponent("\(name).txt").path)
        #expect(file.entries.count >= 20)
    }

    /// Evaluation must not depend on choices made for single classes.
    @Test func esc50UsesTheTemplateOnly() throws {
        let file = try LabelFile(path: ShippedLabelFiles.folder.appendingPathComponent("esc50.txt").path)
        #expect(file.entries.count == 50)
        #expect(file.entries.first?.name == "dog")
        #expect(file.entries.last?.name == "hand saw")
        for entry in file.entries {
            #expect(entry.prompts == ["This is a sound of \(entry.name)."])
            #expect(entry.threshold == nil && entry.cooldown == nil && entry.minimumLength == nil && entry.group == nil)
        }
    }
}
