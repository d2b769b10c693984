#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A model as it lies on disk: `config.json` (decoded and validated) and `model.safetensors` (mapped).
package struct ModelDirectory: Sendable {
    package let path: String
    package let configuration: ModelConfiguration
    package let tensors: SafetensorsFile

    /// - Parameter path: the directory.
    /// - Throws: ``ModelError``, naming the file, and the field or tensor.
    package init(path: String) throws {
        self.path = path
        configuration = try ModelConfiguration(path: path + "/config.json")
        tensors = try SafetensorsFile(path: path + "/model.safetensors")
    }

    /// A file of the directory.
    package func path(of file: String) -> String { path + "/" + file }
}

extension ModelConfiguration {
    /// Reads and validates a `config.json`.
    ///
    /// - Throws: ``ModelError``, naming file and field.
    package init(path: String) throws {
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw ModelError(path: path, problem: "cannot be read")
        }
        do {
            self = try decodeJSON(ModelConfiguration.self, from: data)
            try validate()
        } catch let error as DecodingError {
            let (field, problem) = fieldAndProblem(of: error)
            throw ModelError(path: path, item: field.isEmpty ? nil : field, problem: problem)
        } catch let error as FieldError {
            throw ModelError(path: path, item: error.field, problem: error.problem)
        }
    }
}
