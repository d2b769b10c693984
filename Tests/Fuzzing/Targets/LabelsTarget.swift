import Labels

extension FuzzTarget {
    /// The bytes of a label file.
    static let labels = FuzzTarget(name: "labels") { bytes in
        let check = LabelFile.check(bytes: bytes, path: "labels.txt")
        guard let file = check.file else {
            try demand(!check.problems.isEmpty, "neither labels nor problems")
            try demand(check.problems.count <= LabelFile.Check.maximumProblems, "too many problems")
            for problem in check.problems { try demandOneLine(problem.description) }
            return
        }
        try demand(check.problems.isEmpty, "labels and problems")
        try demand((1...LabelFile.Limit.labels).contains(file.entries.count), "\(file.entries.count) labels")
        try demand(Set(file.entries.map { $0.name.lowercased() }).count == file.entries.count, "a label twice")
        for entry in file.entries { try examine(entry) }
        if bytes.allSatisfy({ $0 < 0x80 }) { try demandSameAgain(file) }
    }

    private static func examine(_ entry: LabelEntry) throws {
        try demandOneLine(entry.name)
        try demand(entry.name.count <= LabelFile.Limit.labelCharacters, "a label that is too long")
        try demand(!entry.name.contains { "=|[]".contains($0) }, "\(entry.name) holds what a label may not")
        try demand((1...LabelFile.Limit.promptsPerLabel).contains(entry.prompts.count), "\(entry.name)'s prompts")
        for prompt in entry.prompts { try demand(!prompt.isEmpty, "an empty prompt") }
        if let threshold = entry.threshold { try demand((0...1).contains(threshold), "threshold \(threshold)") }
        if let cooldown = entry.cooldown { try demand((0...86_400).contains(cooldown), "cooldown \(cooldown)") }
        if let length = entry.minimumLength { try demand((0...60).contains(length), "length \(length)") }
    }

    /// Labels and prompts that were read, written down again, are read as the same.
    private static func demandSameAgain(_ file: LabelFile) throws {
        let lines = file.entries.map { "\($0.name)=\($0.prompts.joined(separator: "|"))\n" }
        // Prompts of the template are as long as the label and a little more.
        guard file.entries.allSatisfy({ $0.prompts.allSatisfy { $0.count <= LabelFile.Limit.promptCharacters } }) else {
            return
        }
        let again = LabelFile.check(bytes: Array(lines.joined().utf8), path: "again.txt")
        try demand(
            again.file?.entries.map(\.name) == file.entries.map(\.name)
                && again.file?.entries.map(\.prompts) == file.entries.map(\.prompts),
            "not the same when written again: \(again.problems)")
    }
}
