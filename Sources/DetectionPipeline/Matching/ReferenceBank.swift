package import AudioEmbedding
package import TensorKernels

/// The windows shipped with a model that labels are measured against, in metric space.
package struct ReferenceBank: Sendable {
    /// [referenceCount x embeddingSize]: windows of training clips, the anchors of the streaming transport.
    package let reference: Matrix
    /// [backgroundCount x embeddingSize]: windows of training backgrounds; give each label's median and spread.
    package let background: Matrix

    /// Reads `bank.reference` and `bank.background`.
    ///
    /// - Throws: `ModelError` where a tensor is missing or its rows are not of the model's embedding size.
    package init(_ model: ModelDirectory) throws {
        let size = model.configuration.projection.embeddingSize
        reference = try model.tensors.matrix("bank.reference", columnCount: size)
        background = try model.tensors.matrix("bank.background", columnCount: size)
    }
}
