import NIOCore
import NIOHTTP1

/// Answers the one request of a connection, and closes it.
final class MetricsHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private let collect: @Sendable () async -> [MetricFamily]
    private var isAnswered = false

    init(collect: @escaping @Sendable () async -> [MetricFamily]) {
        self.collect = collect
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // A request's body is of no interest.
        guard case .head(let head) = unwrapInboundIn(data), !isAnswered else { return }
        isAnswered = true
        let path = head.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).first ?? ""
        guard path == "/metrics" else {
            return respond(context, head, .notFound, "Metrics are at /metrics.\n")
        }
        guard head.method == .GET || head.method == .HEAD else {
            return respond(context, head, .methodNotAllowed, "Metrics can be read only: use GET.\n")
        }
        let answer = context.eventLoop.makePromise(of: [MetricFamily].self)
        answer.completeWithTask { [collect] in await collect() }
        answer.futureResult.assumeIsolated().whenSuccess { families in
            self.respond(context, head, .ok, families.map(\.text).joined())
        }
    }

    /// A client that sends no more and has asked nothing gets nothing; one that has still waits for its answer.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed, !isAnswered { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // What is no HTTP was answered by the pipeline's own handler.
        context.close(promise: nil)
    }

    private func respond(
        _ context: ChannelHandlerContext, _ request: HTTPRequestHead, _ status: HTTPResponseStatus, _ text: String
    ) {
        guard context.channel.isActive else { return }
        let body = ByteBuffer(string: text)
        var headers = HTTPHeaders()
        headers.add(name: "Content-Type", value: status == .ok ? Self.contentType : "text/plain; charset=utf-8")
        headers.add(name: "Content-Length", value: "\(body.readableBytes)")
        headers.add(name: "Connection", value: "close")
        if status == .methodNotAllowed { headers.add(name: "Allow", value: "GET, HEAD") }
        let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if request.method != .HEAD { context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in channel.close(promise: nil) }
    }
}
