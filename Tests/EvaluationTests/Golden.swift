import Evaluation
import Foundation
import Testing

/// Figures of the Python reference packages, written by training/goldens/metrics.py.
enum Golden {
    static func load<Content: Decodable>(_ name: String, as type: Content.Type) throws -> Content {
        let url = try #require(Bundle.module.url(forResource: "Golden/\(name)", withExtension: "json"))
        return try JSONDecoder().decode(type, from: Data(contentsOf: url))
    }
}

/// [filename, onset, offset, label], as the golden files write an event.
struct GoldenEvent: Decodable {
    let event: SoundEvent

    init(from decoder: any Decoder) throws {
        var container = try decoder.unkeyedContainer()
        let filename = try container.decode(String.self)
        let onset = try container.decode(Double.self)
        let offset = try container.decode(Double.self)
        event = SoundEvent(filename: filename, onset: onset, offset: offset, label: try container.decode(String.self))
    }
}

/// Expects equality up to rounding; nil stands for an undefined figure on both sides.
func expectClose(
    _ actual: Double?, _ expected: Double?, _ what: String, tolerance: Double = 1e-12,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    guard let actual, let expected else {
        #expect(actual == expected, "\(what)", sourceLocation: sourceLocation)
        return
    }
    #expect(
        abs(actual - expected) <= tolerance + tolerance * abs(expected), "\(what): \(actual), expected \(expected)",
        sourceLocation: sourceLocation)
}

func event(_ onset: Double, _ offset: Double, _ label: String = "dog", in filename: String = "a.wav") -> SoundEvent {
    SoundEvent(filename: filename, onset: onset, offset: offset, label: label)
}
