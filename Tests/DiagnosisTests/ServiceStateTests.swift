import Testing

@testable import Diagnosis

@Suite struct ServiceStateTests {
    @Test(arguments: [
        ("30s", 30.0), ("1min 30s", 90), ("500ms", 0.5), ("2h", 7200), ("1d 1h", 90_000), ("0", 0), ("15000000", 15),
    ]) func timeSpansAreRead(text: String, seconds: Double) {
        #expect(ServiceState.seconds(text) == seconds)
    }

    @Test(arguments: ["", "infinity", "soon", "5 parsecs"]) func otherTextIsNoTimeSpan(text: String) {
        #expect(ServiceState.seconds(text) == nil)
    }
}
