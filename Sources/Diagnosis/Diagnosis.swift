package import DaemonConfiguration
import DetectionPipeline
import EventClient

/// Looks at everything that a daemon needs, really: opens the devices, loads the model, connects to the sockets.
package struct Diagnosis: Sendable {
    package let configuration: DaemonConfiguration
    /// Where kernel and udev put the sound devices' nodes.
    package var soundFolder = "/dev/snd"
    /// The systemd unit to ask about.
    package var unit = "earshotd.service"
    /// How long each device is listened to.
    package var listening = Duration.milliseconds(1500)

    /// - Parameter configuration: As the daemon would have it.
    package init(_ configuration: DaemonConfiguration) {
        self.configuration = configuration
    }

    /// Does all checks.
    ///
    /// - Parameter report: Takes each finding as soon as it is known.
    package func run(report: (Finding) -> Void) async {
        for finding in checkModelAndLabels() { report(finding) }
        let service = ServiceState(unit: unit)
        for finding in service.findings { report(finding) }
        let (status, socket) = await checkSocket(service)
        report(socket)
        for finding in await checkControlSocket(isRunning: status != nil) { report(finding) }
        report(checkMetrics(isRunning: status != nil))
        report(checkStore(path: status?.store?.path))
        report(checkSoundFolder(service))
        for source in configuration.sources { report(await check(source, status: status)) }
    }
}
