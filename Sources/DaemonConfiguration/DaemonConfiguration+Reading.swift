import Yams

#if canImport(Glibc)
    import Glibc
#endif

extension DaemonConfiguration {
    /// Files larger than this are not configurations.
    static let maximumFileSize = 1024 * 1024

    /// Reads a configuration file.
    ///
    /// - Throws: ``ConfigurationError`` with a line for each problem, `file:line: setting: what would be right`.
    package init(path: String) throws(ConfigurationError) {
        func failure(_ message: String) -> ConfigurationError {
            ConfigurationError(problems: [ConfigurationError.Problem(file: path, line: 0, message: message)])
        }
        guard let file = fopen(path, "re") else { throw failure("cannot be read: \(String(cString: strerror(errno)))") }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: DaemonConfiguration.maximumFileSize + 1)
        let count = fread(&bytes, 1, bytes.count, file)
        guard ferror(file) == 0 else { throw failure("cannot be read: \(String(cString: strerror(errno)))") }
        guard count <= DaemonConfiguration.maximumFileSize else {
            throw failure("is larger than 1 MiB and not taken for a configuration")
        }
        guard let text = String(validating: bytes[..<count], as: UTF8.self) else { throw failure("is not UTF-8 text") }
        try self.init(text: text, path: path)
    }

    /// - Parameters:
    ///   - text: YAML.
    ///   - path: Where it is from: names the file in messages, and its folder is what relative paths begin at.
    package init(text: String, path: String) throws(ConfigurationError) {
        self.init()
        let problems = ProblemList(file: path)
        if let root = DaemonConfiguration.root(of: text, problems: problems) {
            let paths = PathResolver(configurationPath: path)
            read(root, paths: paths, problems: problems)
        }
        guard problems.problems.isEmpty else {
            throw ConfigurationError(problems: problems.problems.sorted { $0.line < $1.line })
        }
    }

    /// The one document of the text; nil if it is empty or damaged, the latter reported.
    private static func root(of text: String, problems: ProblemList) -> Node? {
        guard aliasCount(text) <= maximumAliasCount else {
            problems.report(line: 0, "more than \(maximumAliasCount) aliases (*name); write the values out")
            return nil
        }
        do {
            // The sequence ends at an error as it does at the end of the text.
            var stream = try Yams.compose_all(yaml: text)
            var documents: [Node] = []
            while let document = stream.next() { documents.append(document) }
            if let error = stream.error { throw error }
            if documents.count > 1 {
                problems.report(documents[1], "the file: a second document begins here; only one is allowed")
            }
            return documents.first.flatMap { $0.isNull ? nil : $0 }
        } catch let error as YamlError {
            switch error {
            case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
                .composer(_, let problem, let mark, _):
                problems.report(line: mark.line, "not valid YAML: \(problem)")
            case .duplicatedKeysInMapping(let duplicates, let context):
                let names = duplicates.joined(separator: ", ")
                problems.report(line: context.mark.line, "\(names): given more than once; first here")
            case .reader(let problem, _, _, _):
                problems.report(line: 0, "not valid YAML: \(problem)")
            default:
                problems.report(line: 0, "not valid YAML: \(error)")
            }
        } catch {
            problems.report(line: 0, "not valid YAML: \(error)")
        }
        return nil
    }

    /// Aliases of lists of aliases grow as powers do, and Yams walks through all of it: so many grow to 60,000 nodes.
    private static let maximumAliasCount = 30

    /// How many aliases the text has at most: asterisks at the beginning of a word, wherever they are.
    private static func aliasCount(_ text: String) -> Int {
        var count = 0
        var startsWord = true
        for byte in text.utf8 {
            if byte == UInt8(ascii: "*"), startsWord { count += 1 }
            startsWord = " \t\r\n[{,:?-".utf8.contains(byte)
        }
        return count
    }

    // MARK: Sections

    private mutating func read(_ root: Node, paths: PathResolver, problems: ProblemList) {
        let known = [
            "model", "text_encoder", "cache_directory", "labels", "sources", "detection", "socket", "store", "mqtt",
            "control", "metrics", "log_level", "ring", "overload",
        ]
        guard let file = MappingReader(root, name: "", known: known, problems: problems) else { return }
        modelDirectory = file.string("model", "a folder").map(paths.absolute)
        textEncoderDirectory = file.string("text_encoder", "a folder").map(paths.absolute)
        cacheDirectory = file.string("cache_directory", "a folder").map(paths.absolute)
        if let node = file.node("labels") {
            labels = DaemonConfiguration.labels(node, name: "labels", paths: paths, problems: problems)
        }
        if let node = file.node("sources") {
            sources = DaemonConfiguration.sources(node, paths: paths, problems: problems)
        }
        if let section = file.mapping("detection", known: DetectionConfiguration.keys) { detection.read(section) }
        if let section = file.mapping("socket", known: SocketConfiguration.keys) { socket.read(section, paths: paths) }
        if file.isWord("store", "off") {
            store.isOn = false
        } else if let section = file.mapping("store", known: StoreConfiguration.keys) {
            store.read(section, paths: paths)
        }
        if let section = file.mapping("mqtt", known: MQTTSettings.keys) {
            mqtt = MQTTSettings(section, paths: paths)
        }
        if let section = file.mapping("control", known: ["path"]) {
            controlSocketPath = section.string("path", "a path").map(paths.absolute)
            if section.node("path") == nil { section.report("path", "is missing; give a path") }
        }
        if let section = file.mapping("metrics", known: MetricsConfiguration.keys) { metrics.read(section) }
        let levels = LogLevel.allCases.map(\.rawValue).joined(separator: ", ")
        if let level = file.value("log_level", "one of \(levels)", { LogLevel(rawValue: $0.lowercased()) }) {
            logLevel = level
        }
        if let length = file.duration("ring", in: 1...300) { ringLength = length }
        if let policy = file.value("overload", "drop or widen", { OverloadPolicy(rawValue: $0) }) { overload = policy }
    }

    private static func labels(
        _ node: Node, name: String, paths: PathResolver, problems: ProblemList
    ) -> [LabelSetting] {
        let expected = "a list of label files and labels"
        let nodes: [Node]
        switch node {
        case .sequence(let sequence): nodes = Array(sequence)
        case .scalar where !node.isNull: nodes = [node]
        default:
            problems.report(node, "\(name): must be \(expected), not \(node.isNull ? "nothing" : node.kindDescription)")
            return []
        }
        if nodes.isEmpty { problems.report(node, "\(name): is empty; give \(expected) or remove the line") }
        var settings: [LabelSetting] = []
        var seen: Set<String> = []
        for (index, node) in nodes.enumerated() {
            guard case .scalar(let scalar) = node, !node.isNull, !scalar.string.isEmpty else {
                let hint = node.mapping == nil ? "" : " (put a text with \": \" in quotes)"
                problems.report(
                    node, "\(name)[\(index)]: must be a path or a label, not \(node.kindDescription)\(hint)")
                continue
            }
            let text = scalar.string
            guard !text.contains(where: \.isNewline) else {
                problems.report(node, "\(name)[\(index)]: must be one line")
                continue
            }
            guard seen.insert(text).inserted else {
                problems.report(node, "\(name)[\(index)]: \"\(text)\" is given twice")
                continue
            }
            let isPath = ["/", "./", "../"].contains { text.hasPrefix($0) } || text.hasSuffix(".txt")
            settings.append(isPath ? .file(paths.absolute(text)) : .text(text, line: node.mark?.line ?? 0))
        }
        return settings
    }

    private static func sources(_ node: Node, paths: PathResolver, problems: ProblemList) -> [SourceConfiguration] {
        guard case .sequence(let nodes) = node else {
            problems.report(node, "sources: must be a list, each entry beginning with \"- name: \"")
            return []
        }
        if nodes.isEmpty { problems.report(node, "sources: is empty; give at least one or remove the line") }
        var sources: [SourceConfiguration] = []
        var lines: [String: Int] = [:]
        for (index, node) in nodes.enumerated() {
            guard
                let entry = MappingReader(
                    node, name: "sources[\(index)]", known: SourceConfiguration.keys, problems: problems),
                let source = SourceConfiguration(
                    entry, paths: paths,
                    labels: { DaemonConfiguration.labels($0, name: $1, paths: paths, problems: problems) })
            else { continue }
            if let line = lines[source.name] {
                entry.report("name", "\"\(source.name)\" is the name of the source on line \(line) already")
            } else {
                lines[source.name] = source.line
            }
            sources.append(source)
        }
        return sources
    }
}

extension SourceConfiguration {
    fileprivate static let keys = [
        "name", "device", "channel", "description", "labels", "detection", "realtime", "loop",
    ]

    fileprivate init?(
        _ entry: MappingReader, paths: PathResolver, labels readLabels: (Node, String) -> [LabelSetting]
    ) {
        let nameForm = "a name of 1 to 64 letters, digits, -, _ or ."
        let name = entry.value("name", nameForm) { text in
            let isName =
                text.utf8.count <= 64
                && text.utf8.allSatisfy { byte in
                    let letter = Unicode.Scalar(byte)
                    return letter.properties.isAlphabetic && byte < 0x80 || (0x30...0x39).contains(byte)
                        || [0x2D, 0x5F, 0x2E].contains(byte)
                }
            return isName ? text : nil
        }
        let device = entry.string("device", "alsa:DEVICE, a path, or -")
        for (key, form) in [("name", nameForm), ("device", "alsa:DEVICE, a path, or -")] where entry.node(key) == nil {
            entry.report(key, "is missing; give \(form)")
        }
        if let device, device == "alsa:" {
            entry.report("device", "names no device; write alsa:default or one that `earshot devices` lists")
        }
        let isFile = device.map { !$0.hasPrefix("alsa:") && $0 != "-" } ?? true
        self.init(name: name ?? "", device: device.map { isFile ? paths.absolute($0) : $0 } ?? "")
        line = entry.line
        let channel: Channel? = entry.value("channel", "mix or a number from 1 to 32") { text in
            if text == "mix" { return .mix }
            return Int(text).flatMap { (1...32).contains($0) ? .number($0) : nil }
        }
        if let channel { self.channel = channel }
        description = entry.string("description", "a short text")
        if let node = entry.node("labels") { labels = readLabels(node, "\(entry.name).labels") }
        if let section = entry.mapping("detection", known: DetectionConfiguration.keys) { detection.read(section) }
        if let isRealtime = entry.boolean("realtime") {
            self.isRealtime = isRealtime
            if isRealtime, !isFile { entry.report("realtime", "is for files; a device has its own pace") }
        }
        if let isLooping = entry.boolean("loop") {
            self.isLooping = isLooping
            if isLooping, !isFile { entry.report("loop", "is for files; a device has no end") }
        }
        if name == nil || device == nil { return nil }
    }
}

extension DetectionConfiguration {
    fileprivate static let keys = [
        "on", "off", "median", "minimum_length", "minimum_gap", "cooldown", "update_interval", "silence_dbfs",
        "silent_after",
    ]

    fileprivate mutating func read(_ section: MappingReader) {
        onThreshold = section.number("on", in: 0...1)
        offThreshold = section.number("off", in: 0...1)
        if let onThreshold, let offThreshold, offThreshold > onThreshold {
            section.report("off", "must be at most \(section.name).on (\(onThreshold)), not \(offThreshold)")
        }
        medianFilterLength = section.duration("median", in: 0...10)
        minimumEventLength = section.duration("minimum_length", in: 0...60)
        minimumEventGap = section.duration("minimum_gap", in: 0...60)
        cooldown = section.duration("cooldown", in: 0...86_400)
        updateInterval = section.duration("update_interval", in: 0.1...3600)
        silenceLevel = section.number("silence_dbfs", in: -160...0)
        silentAfter = section.duration("silent_after", in: 1...86_400)
    }
}

extension SocketConfiguration {
    fileprivate static let keys = ["path", "mode", "group", "client_queue", "stall_timeout", "maximum_clients"]

    fileprivate mutating func read(_ section: MappingReader, paths: PathResolver) {
        if let path = section.string("path", "a path") { self.path = paths.absolute(path) }
        let mode = section.value("mode", "rights in octal, such as 0660") { text in
            text.utf8.count <= 4 ? UInt32(text, radix: 8).flatMap { $0 <= 0o777 ? $0 : nil } : nil
        }
        if let mode { self.mode = mode }
        group = section.string("group", "the name of a group")
        if let limit = section.integer("client_queue", in: 1...1_000_000) { clientQueueLimit = limit }
        if let seconds = section.duration("stall_timeout", in: 1...3600) { stallTimeout = .seconds(seconds) }
        if let limit = section.integer("maximum_clients", in: 1...65_536) { maximumClients = limit }
    }
}

extension StoreConfiguration {
    fileprivate static let keys = ["path", "maximum_age", "maximum_size"]

    fileprivate mutating func read(_ section: MappingReader, paths: PathResolver) {
        path = section.string("path", "a path").map(paths.absolute)
        if let age = section.duration("maximum_age", in: 60...315_360_000) { maximumAge = age }
        if let size = section.size("maximum_size", in: 16_000_000...1_000_000_000_000) { maximumSize = size }
    }
}

/// Makes paths absolute: relative ones begin at the folder of the configuration.
struct PathResolver {
    private let folder: String

    init(configurationPath path: String) {
        var folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        if !path.hasPrefix("/"), let working = getcwd(nil, 0) {
            folder = String(cString: working) + "/" + folder
            free(working)
        }
        self.folder = folder
    }

    func absolute(_ path: String) -> String {
        if path.hasPrefix("/") { return path }
        return folder + "/" + (path.hasPrefix("./") ? String(path.dropFirst(2)) : path)
    }
}
