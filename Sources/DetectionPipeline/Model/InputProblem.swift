import AudioCapture
import AudioEmbedding
import Labels

/// Whether an error stands for wrong usage or bad input (exit status 2) rather than a failure at work (1).
package func isInputProblem(_ error: any Error) -> Bool {
    switch error {
    case let error as AudioCaptureError: error.kind != .device
    case is ModelError, is LabelFileError: true
    default: false
    }
}
