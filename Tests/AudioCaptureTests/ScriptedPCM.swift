import CALSA
import Foundation

/// A capture PCM of libasound's own ioplug kind, made in this process: it offers exactly the formats, rates and channels
/// that a test gives it, plays the test's bytes, and runs over, sleeps, stalls or vanishes where the script says so. All
/// calls of the capture code pass through the real libasound.
final class ScriptedPCM {
    enum Action: Equatable { case overrun(milliseconds: UInt32), suspend, vanish, stall }

    struct Offer {
        var formats: [snd_pcm_format_t] = [SND_PCM_FORMAT_S16_LE]
        var rates: [Int] = [32_000]
        var channelCounts: ClosedRange<Int> = 1...1
    }

    let bytes: [UInt8]
    let bytesPerFrame: Int
    /// What happens when so many frames were read. When all frames were read and nothing is left, it stalls.
    var script: [(frame: Int, action: Action)]
    private(set) var framesRead = 0
    private var hardwarePosition = 0
    private var period = 320
    private let table = UnsafeMutablePointer<snd_pcm_ioplug_callback_t>.allocate(capacity: 1)
    private let plugin = UnsafeMutablePointer<snd_pcm_ioplug_t>.allocate(capacity: 1)
    private let ready: Int32
    private let name = strdup("scripted")

    var pcm: OpaquePointer { plugin.pointee.pcm }
    var frameCount: Int { bytes.count / bytesPerFrame }

    init(_ bytes: [UInt8], bytesPerFrame: Int, offer: Offer, script: [(frame: Int, action: Action)] = []) throws {
        self.bytes = bytes
        self.bytesPerFrame = bytesPerFrame
        self.script = script
        // Always readable: what is really there is for poll_revents to say.
        ready = earshot_eventfd()
        var one: UInt64 = 1
        _ = Foundation.write(ready, &one, 8)
        table.initialize(to: Self.callbacks())
        plugin.initialize(to: snd_pcm_ioplug_t())
        plugin.pointee.version = 1 << 16 | 0 << 8 | 2
        plugin.pointee.name = UnsafePointer(name)
        plugin.pointee.poll_fd = ready
        plugin.pointee.poll_events = UInt32(POLLIN)
        plugin.pointee.callback = UnsafePointer(table)
        plugin.pointee.private_data = Unmanaged.passUnretained(self).toOpaque()
        let code = snd_pcm_ioplug_create(plugin, "scripted", SND_PCM_STREAM_CAPTURE, Int32(SND_PCM_NONBLOCK))
        guard code == 0 else { throw POSIXError(.ENODEV) }
        func list(_ parameter: Int, _ values: [UInt32]) {
            precondition(snd_pcm_ioplug_set_param_list(plugin, Int32(parameter), UInt32(values.count), values) == 0)
        }
        list(Int(SND_PCM_IOPLUG_HW_ACCESS), [SND_PCM_ACCESS_RW_INTERLEAVED.rawValue].map { UInt32($0) })
        list(Int(SND_PCM_IOPLUG_HW_FORMAT), offer.formats.map { UInt32($0.rawValue) })
        list(Int(SND_PCM_IOPLUG_HW_RATE), offer.rates.map { UInt32($0) })
        snd_pcm_ioplug_set_param_minmax(
            plugin, Int32(SND_PCM_IOPLUG_HW_CHANNELS), UInt32(offer.channelCounts.lowerBound),
            UInt32(offer.channelCounts.upperBound))
        snd_pcm_ioplug_set_param_minmax(plugin, Int32(SND_PCM_IOPLUG_HW_PERIOD_BYTES), 64, 1 << 22)
        snd_pcm_ioplug_set_param_minmax(plugin, Int32(SND_PCM_IOPLUG_HW_BUFFER_BYTES), 256, 1 << 26)
        snd_pcm_ioplug_set_param_minmax(plugin, Int32(SND_PCM_IOPLUG_HW_PERIODS), 2, 1024)
    }

    // The memory is left to the process: the PCM may outlive this object in a capture thread that is just ending.

    private static func callbacks() -> snd_pcm_ioplug_callback_t {
        func device(_ io: UnsafeMutablePointer<snd_pcm_ioplug_t>?) -> ScriptedPCM {
            Unmanaged<ScriptedPCM>.fromOpaque(io!.pointee.private_data).takeUnretainedValue()
        }
        var table = snd_pcm_ioplug_callback_t()
        table.start = { _ in 0 }
        table.stop = { _ in 0 }
        table.hw_params = { io, _ in
            device(io).period = Int(io!.pointee.period_size)
            return 0
        }
        table.prepare = { io in
            let scripted = device(io)
            scripted.hardwarePosition = 0
            scripted.pending = 0
            return 0
        }
        table.resume = { _ in -ENOSYS }
        table.pointer = { io in device(io).pointer(Int(io!.pointee.buffer_size)) }
        table.transfer = { io, areas, offset, size in
            let area = areas![0]
            let target = area.addr + Int(area.first) / 8 + Int(offset) * Int(area.step) / 8
            return device(io).transfer(target, Int(size))
        }
        table.poll_revents = { io, _, _, events in
            events!.pointee = device(io).isReady ? UInt16(POLLIN) : 0
            return 0
        }
        return table
    }

    private var isReady: Bool {
        if let next = script.first, next.frame <= framesRead { return next.action != .stall }
        return framesRead < frameCount
    }

    private func pointer(_ bufferLength: Int) -> snd_pcm_sframes_t {
        if let next = script.first, next.frame <= framesRead {
            switch next.action {
            case .overrun(let milliseconds):
                script.removeFirst()
                usleep(milliseconds * 1000)
                return snd_pcm_sframes_t(-EPIPE)
            case .suspend:
                script.removeFirst()
                snd_pcm_ioplug_set_state(plugin, SND_PCM_STATE_SUSPENDED)
            case .vanish:
                snd_pcm_ioplug_set_state(plugin, SND_PCM_STATE_DISCONNECTED)
            case .stall:
                break
            }
            return hardwarePosition % bufferLength
        }
        // A period at a time, up to the end or what the script holds next.
        let end = min(frameCount, script.first?.frame ?? .max)
        if pending == 0 {
            pending = min(period, end - framesRead)
            hardwarePosition += pending
        }
        return hardwarePosition % bufferLength
    }

    /// Frames captured and not yet read.
    private var pending = 0

    private func transfer(_ target: UnsafeMutableRawPointer, _ count: Int) -> snd_pcm_sframes_t {
        let count = min(count, pending)
        bytes.withUnsafeBytes {
            target.copyMemory(from: $0.baseAddress! + framesRead * bytesPerFrame, byteCount: count * bytesPerFrame)
        }
        framesRead += count
        pending -= count
        return count
    }
}
