package import Labels

extension LabelEntry {
    /// The labels of a configuration's `labels`, in their order.
    ///
    /// - Parameters:
    ///   - settings: Empty stands for `fallback`.
    ///   - fallback: A label file; nil where none is known.
    ///   - template: The prompt of a label that has none, with `{label}` in it.
    /// - Throws: `LabelFileError` that names file and line, also for a label given twice or no label at all.
    package static func all(
        of settings: [LabelSetting], fallback: String?, template: String
    ) throws -> [LabelEntry] {
        var entries: [LabelEntry] = []
        var origin: [String: String] = [:]
        for setting in settings.isEmpty ? fallback.map({ [.file($0)] }) ?? [] : settings {
            let (path, found): (String, [LabelEntry])
            switch setting {
            case .file(let file): (path, found) = (file, try LabelFile(path: file, template: template).entries)
            case .text(let text, let line):
                (path, found) = (
                    "labels",
                    try LabelFile(bytes: Array(text.utf8), path: "labels, line \(line)", template: template).entries
                )
            }
            for entry in found {
                if let first = origin[entry.name.lowercased()] {
                    throw LabelFileError(
                        path: path, line: entry.line, reason: "label \"\(entry.name)\" is already in \(first)")
                }
                origin[entry.name.lowercased()] = path
                entries.append(entry)
            }
        }
        guard !entries.isEmpty else {
            throw LabelFileError(path: "labels", reason: "no label is configured; name a label file")
        }
        return entries
    }
}
