#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Decodes the JSON of a model file.
func decodeJSON<Value: Decodable>(_: Value.Type, from json: Data) throws -> Value {
    // With the space: the decoder traps on a text that ends with the bracket that is one too many for it (the 513th).
    try JSONDecoder().decode(Value.self, from: json + [UInt8(ascii: " ")])
}

/// One line for a decoding error: the field as `encoder.layers[3].kernel`, then what is wrong with it.
func describe(_ error: DecodingError) -> String {
    let (field, problem) = fieldAndProblem(of: error)
    return field.isEmpty ? problem : "\(field) \(problem)"
}

/// - Returns: the field's path (empty for the document itself), and the problem as the end of a sentence that begins
///   with the field.
func fieldAndProblem(of error: DecodingError) -> (field: String, problem: String) {
    switch error {
    case .keyNotFound(let key, let context):
        return (path(context.codingPath + [key]), "is missing")
    case .typeMismatch(let type, let context):
        return (path(context.codingPath), "is not \(name(of: type))")
    case .valueNotFound(let type, let context):
        return (path(context.codingPath), "is null instead of \(name(of: type))")
    case .dataCorrupted(let context):
        // The decoder reports a number that is no whole number, or out of range, like broken JSON and without its path.
        let isDocument = context.codingPath.isEmpty
        return (
            path(context.codingPath),
            isDocument
                ? "is not JSON, or has a fraction where a whole number belongs"
                : "is wrong: \(context.debugDescription)"
        )
    @unknown default:
        return ("", "cannot be decoded")
    }
}

private func path(_ keys: [any CodingKey]) -> String {
    var text = ""
    for key in keys {
        if let index = key.intValue {
            text += "[\(index)]"
        } else {
            text += (text.isEmpty ? "" : ".") + key.stringValue
        }
    }
    return text
}

/// JSON's word for a Swift type.
private func name(of type: any Any.Type) -> String {
    switch type {
    case is Int.Type: "a whole number"
    case is Float.Type, is Double.Type: "a number"
    case is Bool.Type: "true or false"
    case is String.Type: "a string"
    default: "of the right type"
    }
}
