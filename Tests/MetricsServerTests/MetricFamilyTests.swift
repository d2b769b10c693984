import TestSupport
import Testing

@testable import MetricsServer

@Suite struct MetricFamilyTests {
    @Test func counterIsWrittenAsTheFormatSays() throws {
        var family = MetricFamily("earshot_events_total", .counter, "Events: a \\ and\na line feed.")
        family.add(3, .init("source", "mic"), .init("label", "a \"dog\"\\\n"))
        family.add(0.5)
        #expect(
            family.text == """
                # HELP earshot_events_total Events: a \\\\ and\\na line feed.
                # TYPE earshot_events_total counter
                earshot_events_total{source="mic",label="a \\"dog\\"\\\\\\n"} 3
                earshot_events_total 0.5

                """)
        _ = try Exposition(family.text)
    }

    @Test func valuesThatAreNoNumbers() throws {
        var family = MetricFamily("level", .gauge, "Level.")
        for value in [-Double.infinity, .infinity, .nan, -31.5, 1e-7, 12_345_678_901] { family.add(value) }
        let lines = family.text.split(separator: "\n").dropFirst(2)
        #expect(
            lines == ["level -Inf", "level +Inf", "level NaN", "level -31.5", "level 1e-07", "level 12345678901"])
    }

    @Test func bucketsOfAHistogramAreCumulative() throws {
        var family = MetricFamily("step_seconds", .histogram, "Steps.")
        family.addHistogram(counts: [2, 0, 5, 1], bounds: [0.001, 0.01, 1], sum: 1.25, .init("source", "mic"))
        #expect(
            family.text == """
                # HELP step_seconds Steps.
                # TYPE step_seconds histogram
                step_seconds_bucket{source="mic",le="0.001"} 2
                step_seconds_bucket{source="mic",le="0.01"} 2
                step_seconds_bucket{source="mic",le="1"} 7
                step_seconds_bucket{source="mic",le="+Inf"} 8
                step_seconds_sum{source="mic"} 1.25
                step_seconds_count{source="mic"} 8

                """)
        #expect(try Exposition(family.text)[#"step_seconds_count{source="mic"}"#] == 8)
    }

    @Test func familyWithoutSamplesIsNotWritten() {
        #expect(MetricFamily("empty", .gauge, "Nothing.").text.isEmpty)
    }

    /// The reader that other tests rely on must refuse what is wrong.
    @Test(arguments: [
        "a 1", "# HELP a x\n# TYPE a gauge\nb 1\n", "# HELP a x\n# TYPE a gauge\na one\n",
        "# HELP a x\n# TYPE a gauge\na{b=\"c} 1\n", "# HELP a x\n# TYPE a gauge\na 1\na 1\n",
        "# HELP a x\n# TYPE a counter\na 1\n",
        "# HELP a x\n# TYPE a histogram\na_bucket{le=\"1\"} 1\na_sum 1\na_count 1\n",
    ]) func wrongTextIsRefused(text: String) {
        #expect(throws: Exposition.Problem.self) { try Exposition(text) }
    }
}
