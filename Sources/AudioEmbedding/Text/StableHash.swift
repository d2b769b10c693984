/// A hash that is the same on every machine and run (FNV-1a over 32-bit words, with a final mix). It notices damage
/// and change; it is no defence against forgery.
struct StableHash {
    private var state: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func combine(_ values: [Float]) {
        for value in values { state = (state ^ UInt64(value.bitPattern)) &* 0x100_0000_01B3 }
    }

    /// 16 digits.
    var hexadecimal: String {
        // The finaliser of MurmurHash3: low bits depend on all bits.
        var mixed = state
        mixed = (mixed ^ (mixed >> 33)) &* 0xFF51_AFD7_ED55_8CCD
        mixed = (mixed ^ (mixed >> 33)) &* 0xC4CE_B9FE_1A85_EC53
        mixed ^= mixed >> 33
        let digits = String(mixed, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
