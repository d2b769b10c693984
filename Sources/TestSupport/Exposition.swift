/// Metrics in Prometheus's text format, read strictly: what the format does not allow is an error.
package struct Exposition: Sendable {
    package struct Problem: Error, CustomStringConvertible {
        package let description: String
    }

    package struct Family: Sendable {
        package var help: String
        package var type: String
    }

    package private(set) var families: [String: Family] = [:]
    /// By `name{label="value",…}`, the labels in the order of their names.
    package private(set) var samples: [String: Double] = [:]

    /// - Throws: ``Problem``, which names the line.
    package init(_ text: String) throws {
        guard text.hasSuffix("\n") else { throw Problem(description: "the last line has no line feed") }
        var current: String?
        var finished: Set<String> = []
        for line in text.dropLast().split(separator: "\n", omittingEmptySubsequences: false) {
            func problem(_ what: String) -> Problem { Problem(description: "\(what): \(line)") }
            if let match = line.wholeMatch(of: /# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)/) {
                let name = String(match.1)
                if let current { finished.insert(current) }
                guard families[name] == nil else { throw problem("a second HELP") }
                families[name] = Family(help: String(match.2), type: "")
                current = name
            } else if let match = line.wholeMatch(of: /# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)/) {
                let name = String(match.1)
                guard name == current, families[name]?.type == "" else { throw problem("TYPE out of place") }
                families[name]?.type = String(match.2)
            } else {
                let (name, labels, value) = try Self.sample(line)
                let family = try Self.family(of: name, among: families, problem: problem)
                guard family == current, !finished.contains(family) else {
                    throw problem("lines of a family are apart")
                }
                let key = labels.isEmpty ? name : "\(name){\(labels.sorted().joined(separator: ","))}"
                guard samples.updateValue(value, forKey: key) == nil else { throw problem("a sample twice") }
                if families[family]?.type != "gauge", value < 0 { throw problem("a counter below 0") }
            }
        }
        for (name, family) in families where family.type == "histogram" { try checkHistogram(name) }
    }

    package subscript(key: String) -> Double? { samples[key] }

    private static func family(
        of name: String, among families: [String: Family], problem: (String) -> Problem
    ) throws -> String {
        if let family = families[name], family.type != "histogram" {
            if family.type == "counter", !name.hasSuffix("_total") { throw problem("a counter not named _total") }
            return name
        }
        for suffix in ["_bucket", "_sum", "_count"] where name.hasSuffix(suffix) {
            let base = String(name.dropLast(suffix.count))
            if families[base]?.type == "histogram" { return base }
        }
        throw problem("no HELP and TYPE before")
    }

    /// Name, labels as `name="value"`, value.
    private static func sample(_ line: Substring) throws -> (String, [String], Double) {
        let form = /([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)/
        guard let match = line.wholeMatch(of: form) else { throw Problem(description: "not a sample: \(line)") }
        var labels: [String] = []
        var rest = match.2 ?? ""
        while !rest.isEmpty {
            guard let label = rest.prefixMatch(of: /[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"(?:,(?=.)|$)/) else {
                throw Problem(description: "not a label: \(line)")
            }
            labels.append(String(label.0.hasSuffix(",") ? label.0.dropLast() : label.0))
            rest = rest[label.range.upperBound...]
        }
        let number = String(match.3)
        let special: [String: Double] = ["+Inf": .infinity, "-Inf": -.infinity, "NaN": .nan]
        guard let value = special[number] ?? (number.contains { $0.isLetter && $0 != "e" } ? nil : Double(number))
        else {
            throw Problem(description: "not a number: \(line)")
        }
        return (String(match.1), labels, value)
    }

    /// Buckets must grow with their bounds and end with +Inf, which is the count.
    private func checkHistogram(_ name: String) throws {
        var series: [String: [(bound: Double, count: Double)]] = [:]
        for (key, value) in samples where key.hasPrefix("\(name)_bucket{") {
            guard let bound = key.firstMatch(of: /le="([^"]+)",?/) else {
                throw Problem(description: "no bound: \(key)")
            }
            let number = bound.1 == "+Inf" ? Double.infinity : Double(bound.1)
            guard let number else { throw Problem(description: "no bound: \(key)") }
            let labels = key.dropFirst("\(name)_bucket".count).replacing(bound.0, with: "").replacing(",}", with: "}")
            series[String(labels), default: []].append((number, value))
        }
        for (labels, buckets) in series {
            let sorted = buckets.sorted { $0.bound < $1.bound }
            let suffix = labels == "{}" ? "" : labels
            guard sorted.last?.bound == .infinity, sorted.last?.count == samples["\(name)_count\(suffix)"],
                samples["\(name)_sum\(suffix)"] != nil,
                zip(sorted, sorted.dropFirst()).allSatisfy({ $0.count <= $1.count })
            else { throw Problem(description: "not a histogram: \(name)\(labels)") }
        }
    }
}
