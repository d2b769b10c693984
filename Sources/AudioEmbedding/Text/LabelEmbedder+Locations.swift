extension LabelEmbedder {
    /// Where sentence embeddings are cached unless the user says otherwise: `$CACHE_DIRECTORY` (set by systemd for
    /// `CacheDirectory=`), `$XDG_CACHE_HOME/earshot`, `$HOME/.cache/earshot`; nil where none is set.
    package static func defaultCacheDirectory(environment: [String: String]) -> String? {
        // systemd separates several directories by colons.
        if let first = environment["CACHE_DIRECTORY"]?.split(separator: ":").first, first.hasPrefix("/") {
            return String(first)
        }
        // The XDG specification: relative paths are to be ignored.
        if let base = environment["XDG_CACHE_HOME"], base.hasPrefix("/") { return base + "/earshot" }
        if let home = environment["HOME"], home.hasPrefix("/") { return home + "/.cache/earshot" }
        return nil
    }

    /// Where the text encoder of a model is expected: `$EARSHOT_TEXT_ENCODER`, else `text/all-MiniLM-L6-v2` beside the
    /// model's folder, where `make text-encoder` installs it. It need not exist.
    package static func defaultTextEncoderDirectory(
        of model: ModelDirectory, environment: [String: String]
    ) -> String {
        if let path = environment["EARSHOT_TEXT_ENCODER"], !path.isEmpty { return path }
        let folder = model.path.hasSuffix("/") ? String(model.path.dropLast()) : model.path
        return "\(folder)/../text/\(model.configuration.text.model)"
    }
}
