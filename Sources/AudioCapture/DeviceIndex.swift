import CALSA
import Glibc

/// Devices named by a card's number, which changes with the order in which cards are found.
package enum DeviceIndex {
    /// What to write instead of a name such as `hw:1,0` or `plughw:CARD=1`.
    ///
    /// - Parameters:
    ///   - device: An ALSA PCM name.
    ///   - cardID: The id of a card by its number, nil where there is none.
    /// - Returns: A warning that names the stable name, as far as it is known; nil for a name without a number.
    package static func warning(for device: String, cardID: (Int) -> String? = installedCardID) -> String? {
        guard
            let match = device.wholeMatch(
                of: /(hw|plughw|dsnoop|sysdefault|front|default):(?:CARD=)?([0-9]+)(?:,(?:DEV=)?([0-9]+))?/),
            let number = Int(match.2)
        else { return nil }
        let warning = "alsa:\(device) names a card by its number, which may change when the machine starts"
        guard let id = cardID(number) else { return warning + "; `earshot devices` lists names that stay" }
        let stable = "alsa:\(match.1):CARD=\(id)" + (match.3.map { ",DEV=\($0)" } ?? "")
        return "\(warning); write \(stable)"
    }

    /// The id of one of the machine's cards.
    package static func installedCardID(_ number: Int) -> String? {
        guard let file = fopen("/proc/asound/card\(number)/id", "re") else { return nil }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 64)
        guard fgets(&line, Int32(line.count), file) != nil else { return nil }
        let id = line.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }.filter { !$0.isNewline }
        return id.isEmpty ? nil : id
    }
}
