/// One metric with all its samples, and how it is written in Prometheus's text format.
package struct MetricFamily: Sendable, Equatable {
    package enum Kind: String, Sendable {
        /// Only ever grows; its name ends in `_total`.
        case counter
        case gauge
        case histogram
    }

    package struct Label: Sendable, Equatable {
        package var name: String
        package var value: String

        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    private struct Sample: Sendable, Equatable {
        var suffix = ""
        var labels: [Label]
        var value: Double
    }

    package let name: String
    package let kind: Kind
    private let help: String
    private var samples: [Sample] = []

    /// - Parameters:
    ///   - name: Letters, digits and `_`, not beginning with a digit.
    ///   - help: One sentence.
    package init(_ name: String, _ kind: Kind, _ help: String) {
        precondition(Self.isName(name), "\(name) cannot name a metric")
        self.name = name
        self.kind = kind
        self.help = help
    }

    /// Whether any sample was added; a family without one is not written.
    package var isEmpty: Bool { samples.isEmpty }

    /// Adds a sample of a counter or a gauge.
    package mutating func add(_ value: Double, _ labels: Label...) {
        add(value, labels)
    }

    /// Adds a sample of a counter or a gauge.
    package mutating func add(_ value: Double, _ labels: [Label]) {
        precondition(kind != .histogram && labels.allSatisfy { Self.isName($0.name) }, "\(name): not such a sample")
        samples.append(Sample(labels: labels, value: value))
    }

    /// Adds a histogram.
    ///
    /// - Parameters:
    ///   - counts: Observations in each bucket, one more than there are bounds: the last holds those above all.
    ///   - bounds: Upper bounds of the buckets, ascending.
    ///   - sum: Of all observations.
    package mutating func addHistogram(counts: [Int], bounds: [Double], sum: Double, _ labels: Label...) {
        precondition(kind == .histogram && counts.count == bounds.count + 1, "\(name): not such a histogram")
        var total = 0
        for (count, bound) in zip(counts, bounds + [.infinity]) {
            total += count
            samples.append(
                Sample(
                    suffix: "_bucket", labels: labels + [Label("le", Self.text(bound))], value: Double(total)))
        }
        samples.append(Sample(suffix: "_sum", labels: labels, value: sum))
        samples.append(Sample(suffix: "_count", labels: labels, value: Double(total)))
    }

    /// The family's lines in the text format, version 0.0.4.
    var text: String {
        guard !isEmpty else { return "" }
        var text = "# HELP \(name) \(Self.escaped(help, quotes: false))\n# TYPE \(name) \(kind.rawValue)\n"
        for sample in samples {
            text += name + sample.suffix
            if !sample.labels.isEmpty {
                let pairs = sample.labels.map { "\($0.name)=\"\(Self.escaped($0.value, quotes: true))\"" }
                text += "{" + pairs.joined(separator: ",") + "}"
            }
            text += " " + Self.text(sample.value) + "\n"
        }
        return text
    }

    private static func isName(_ text: String) -> Bool {
        text.wholeMatch(of: /[a-zA-Z_][a-zA-Z0-9_]*/) != nil
    }

    private static func text(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return Int64(exactly: value).map { "\($0)" } ?? "\(value)"
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        // By scalars: "\r\n" is one character.
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
