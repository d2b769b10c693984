import CALSA

/// libasound's own error messages: kept for ours instead of printed.
///
/// The buffer belongs to the object file that uses it (see CALSA's shim.h), hence one file and nothing inlined elsewhere.
enum AlsaMessages {
    /// From now on libasound never prints to standard error. Process-wide; may be called any number of times.
    @inline(never) static func silence() {
        earshot_alsa_silence_errors()
    }

    /// Forgets the last message of this thread.
    @inline(never) static func clear() {
        earshot_alsa_message_buffer().pointee = 0
    }

    /// The first message on this thread since ``clear()``, on one line, or an empty string.
    @inline(never) static func first() -> String {
        let text = String(cString: earshot_alsa_message_buffer())
        return text.split(whereSeparator: \.isNewline).joined(separator: " ")
    }
}
