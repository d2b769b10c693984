import Evaluation
import Foundation
import Testing

/// Manifests and event lists: what is read, and what is said about files that cannot be.
@Suite struct ListReadingTests {
    private func manifestMessage(_ text: String) -> String? {
        do {
            _ = try EvaluationManifest(text: text, path: "list.csv")
            return nil
        } catch {
            return "\(error)"
        }
    }

    private func truthMessage(_ lines: String...) -> String? {
        do {
            _ = try EventTruth(text: lines.joined(separator: "\n"), path: "truth.tsv")
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test func readsManifests() throws {
        let manifest = try EvaluationManifest(
            text: "filename,target,category,esc10\n1-100032-A-0.flac,0,dog,True\n1-1.flac,30,door_wood_knock,False\n",
            path: "list.csv")
        #expect(manifest.clips.map(\.filename) == ["1-100032-A-0.flac", "1-1.flac"])
        #expect(manifest.clips.map(\.label) == ["dog", "door wood knock"])
        #expect(manifest.clips.map(\.line) == [2, 3])
        #expect(manifest.labels == ["dog", "door wood knock"])
    }

    @Test func readsQuotedFieldsAndForeignLineEnds() throws {
        let manifest = try EvaluationManifest(
            text:
                "\u{FEFF}category,filename\r\n\"dog, \"\"old\"\"\",\"a\nb.wav\"\r\n\r\n  rain , \u{301}c.wav \r\ncafé,d.wav",
            path: "list.csv")
        #expect(manifest.clips.map(\.filename) == ["a\nb.wav", "\u{301}c.wav", "d.wav"])
        #expect(manifest.clips.map(\.label) == ["dog, \"old\"", "rain", "café"])
        #expect(manifest.clips.map(\.line) == [2, 5, 6])
    }

    @Test func refusesBrokenManifests() {
        let header = "filename,category\n"
        #expect(manifestMessage("") == "list.csv: is empty; a header line is needed")
        #expect(manifestMessage("\n \n") == "list.csv: is empty; a header line is needed")
        #expect(manifestMessage(header) == "list.csv: lists no clips")
        #expect(
            manifestMessage("file,category\na,b")
                == "list.csv:1: no column \"filename\"; the header has \"file\", \"category\"")
        #expect(manifestMessage("filename,category,category\n") == "list.csv:1: column \"category\" occurs twice")
        #expect(manifestMessage(header + "a.wav,dog\n,dog\n") == "list.csv:3: filename is empty")
        #expect(manifestMessage(header + "a.wav\n") == "list.csv:2: category is empty")
        #expect(manifestMessage(header + "a.wav, \n") == "list.csv:2: category is empty")
        #expect(manifestMessage(header + "a.wav,dog,x\n") == "list.csv:2: 3 fields, but the header has 2")
        #expect(
            manifestMessage(header + "a.wav,dog\nb.wav,dog\na.wav,cat\n")
                == "list.csv:4: \"a.wav\" is already listed on line 2")
        #expect(manifestMessage(header + "a.wav,dog\n\"b.wav,dog\n") == "list.csv:3: a quote is not closed")
        #expect(manifestMessage(header + "\"a\".wav,dog\n") == "list.csv:2: text after a closing quote")
        #expect(
            manifestMessage(header + "a\0.wav,dog\n") == "list.csv:2: a NUL character; this is not a text table")
    }

    @Test func readsEventLists() throws {
        let truth = try EventTruth(
            text: "filename\tonset\toffset\tevent_label\nb.wav\t7.946\t12.945\tdoor_wood_knock\nc.wav\t\t\t\nd.wav\n"
                + "a.wav\t0\t1e1\tdog\nb.wav\t3\t3\tdog\n",
            path: "truth.tsv")
        #expect(
            truth.events == [
                event(7.946, 12.945, "door wood knock", in: "b.wav"), event(0, 10), event(3, 3, in: "b.wav"),
            ])
        #expect(truth.filenames == ["b.wav", "c.wav", "d.wav", "a.wav"])
        #expect(truth.labels == ["dog", "door wood knock"])
    }

    @Test func refusesBrokenEventLists() {
        let header = "filename\tonset\toffset\tevent_label"
        let range = "is not a time in seconds from 0 to 2678400"
        #expect(truthMessage(header, "a.wav\t1\t2\tdog") == nil)
        #expect(truthMessage(header) == "truth.tsv: lists no recordings")
        #expect(
            truthMessage("filename,onset,offset,event_label", "a.wav,1,2,dog")
                == "truth.tsv:1: no column \"filename\"; the header has \"filename,onset,offset,event_label\"")
        #expect(truthMessage(header, "a.wav\tone\t2\tdog") == "truth.tsv:2: onset \"one\" \(range)")
        #expect(truthMessage(header, "a.wav\t1\t\tdog") == "truth.tsv:2: offset \"\" \(range)")
        #expect(truthMessage(header, "a.wav\t-1\t2\tdog") == "truth.tsv:2: onset \"-1\" \(range)")
        #expect(truthMessage(header, "a.wav\tnan\t2\tdog") == "truth.tsv:2: onset \"nan\" \(range)")
        #expect(truthMessage(header, "a.wav\t1\tinf\tdog") == "truth.tsv:2: offset \"inf\" \(range)")
        #expect(truthMessage(header, "a.wav\t1\t1e300\tdog") == "truth.tsv:2: offset \"1e300\" \(range)")
        #expect(
            truthMessage(header, "a.wav\t1\t2\tdog", "", "a.wav\t3\t2.5\tdog")
                == "truth.tsv:4: offset 2.5 is before onset 3")
        #expect(truthMessage(header, "a.wav\t1\t2") == "truth.tsv:2: event_label is empty")
        #expect(truthMessage(header, "\t1\t2\tdog") == "truth.tsv:2: filename is empty")
        #expect(truthMessage(header, "a.wav\t1\t2\tdog\tx") == "truth.tsv:2: 5 fields, but the header has 4")
    }

    @Test func readsFilesAndNamesThemInErrors() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "evaluation-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "list with spaces.csv").path

        try Data("filename,category\na.wav,dog\n".utf8).write(to: URL(filePath: path))
        #expect(try EvaluationManifest(path: path).clips.map(\.label) == ["dog"])
        let comma = EvaluationError(path: path, line: 1, "no column \"filename\"; the header has \"filename,category\"")
        #expect(throws: comma) { try EventTruth(path: path) }
        try Data([0x66, 0xFF, 0xFE, 0x0A]).write(to: URL(filePath: path))
        #expect(throws: EvaluationError(path: path, "is not UTF-8 text")) { try EvaluationManifest(path: path) }
        #expect(throws: EvaluationError(path: folder.path, "cannot be read")) { try EventTruth(path: folder.path) }
        let missing = folder.appending(path: "missing.tsv").path
        #expect(throws: EvaluationError(path: missing, "no such file")) { try EventTruth(path: missing) }
    }
}
