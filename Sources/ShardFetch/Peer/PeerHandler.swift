internal import Logging
internal import NIOCore
internal import NIOSSL
internal import NIOTLS
internal import PetalsCore
internal import Synchronization

/// The last handler of a peer's channel: greets, cuts frames, answers pings, and ends what breaks
/// the protocol.
///
/// It lives on its event loop and decides nothing about content.
final class PeerHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Filled by the certificate check, which runs inside TLS, before the handshake event.
    ///
    /// And by the handler, for whoever dialled: what became of the connection.
    final class PeerIdentityBox: Sendable {
        private struct Value {
            var peerID: PeerID?
            var isOurselves = false
            var openedAt: Instant?
        }

        private let value = Mutex(Value())

        var peerID: PeerID? {
            get { value.withLock { $0.peerID } }
            set { value.withLock { $0.peerID = newValue } }
        }

        /// The certificate is this node's own.
        func noteOurselves() { value.withLock { $0.isOurselves = true } }

        /// The connection was allowed to stay.
        func noteOpened(now: Instant) { value.withLock { $0.openedAt = now } }

        /// What became of a dial that is over.
        func outcome(now: Instant) -> DialPlan.Outcome {
            value.withLock { value in
                if value.isOurselves { return .ourselves }
                return value.openedAt.map { .ended(after: now - $0) } ?? .failed
            }
        }
    }

    private enum Phase {
        case handshaking
        case greeting
        case open(PeerConnection)
        case closed
    }

    /// Seconds without a byte after which the peer is asked whether it lives, and given up.
    static let idleSecondsMax: Instant = 15
    static let silenceSecondsMax: Instant = 30

    private let delegate: any PeerConnectionDelegate
    private let hello: ControlMessage.Hello
    private let identityBox: PeerIdentityBox
    private let target: SocketEndpoint?
    private let logger: Logger
    /// Called once, when the handshake is over, however it went.
    private var handshakeEnded: (() -> Void)?
    private var phase = Phase.handshaking
    private var assembler = FrameAssembler()
    private var control: TokenBucket
    private var requests: TokenBucket
    private var receipts: TokenBucket
    private var lastByteAt: Instant
    private var timers: [Scheduled<Void>] = []
    private var closeReason = "the peer closed the connection"

    init(
        delegate: any PeerConnectionDelegate, hello: ControlMessage.Hello,
        identityBox: PeerIdentityBox, target: SocketEndpoint?, logger: Logger,
        handshakeEnded: @escaping () -> Void
    ) {
        self.handshakeEnded = handshakeEnded
        self.delegate = delegate
        self.hello = hello
        self.identityBox = identityBox
        self.target = target
        self.logger = logger
        let now = MonotonicClock.now
        control = TokenBucket(
            rate: Limits.controlPerSecondMax, burst: 2 * Limits.controlPerSecondMax, now: now)
        requests = TokenBucket(
            rate: Limits.requestsPerSecondMax, burst: Limits.requestsPerSecondMax, now: now)
        receipts = TokenBucket(
            rate: Limits.receiptsPerSecondMax, burst: Limits.receiptsPerSecondMax, now: now)
        lastByteAt = now
    }

    func channelActive(context: ChannelHandlerContext) {
        let loopBound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        timers.append(
            context.eventLoop.assumeIsolated().scheduleTask(
                in: .seconds(Limits.handshakeSecondsMax)
            ) {
                let (handler, context) = loopBound.value
                if case .open = handler.phase { return }
                handler.end(context, "the peer did not finish its handshake in time")
            })
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted(let negotiated)? = event as? TLSUserEvent {
            guard negotiated == NodeIdentity.applicationProtocol else {
                return end(context, "the peer does not speak \(NodeIdentity.applicationProtocol)")
            }
            // Only now: what is written before the handshake is over grows without bound.
            phase = .greeting
            context.writeAndFlush(
                NIOAny(FrameEncoder.control(.hello(hello))), promise: nil)
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .closed = phase { return }
        var buffer = unwrapInboundIn(data)
        lastByteAt = MonotonicClock.now
        do throws(PetalsError) {
            while let frame = try assembler.next(from: &buffer) {
                try receive(frame, context: context)
            }
        } catch {
            end(context, error.message)
        }
    }

    private func receive(
        _ frame: InboundFrame, context: ChannelHandlerContext
    ) throws(PetalsError) {
        switch phase {
        case .closed: return
        case .handshaking, .greeting:
            guard case .control(.hello(let theirs)) = frame, let peerID = identityBox.peerID else {
                throw PetalsError(.protocolViolation, "the peer's first message is not Hello")
            }
            open(context, peerID: peerID, hello: theirs)
        case .open(let connection):
            try admit(frame)
            switch frame {
            case .control(.ping(let token)): connection.send(.pong(token))
            case .control(.pong), .control(.unknown): break
            case .control(.hello):
                throw PetalsError(.protocolViolation, "the peer said Hello twice")
            default: delegate.connection(connection, received: frame)
            }
        }
    }

    /// Throws when the peer sends control messages faster than any of ours would.
    private func admit(_ frame: InboundFrame) throws(PetalsError) {
        guard case .control(let message) = frame else { return }
        let allowed: Bool
        switch message {
        // A reader of hundreds of files changes its topics as fast as it reads them.
        case .request, .cancel, .getCellLayer, .join, .leave:
            allowed = requests.take(now: lastByteAt)
        // One a quantum of what this node sends.
        case .receipt: allowed = receipts.take(now: lastByteAt)
        // Answers to what we asked, and bounded by that.
        case .refuse: allowed = true
        default: allowed = control.take(now: lastByteAt)
        }
        guard allowed else {
            throw PetalsError(.protocolViolation, "the peer floods this node with messages")
        }
    }

    private func open(
        _ context: ChannelHandlerContext, peerID: PeerID, hello: ControlMessage.Hello
    ) {
        let address = context.remoteAddress.map(SocketEndpoint.text) ?? "an unknown address"
        let connection = PeerConnection(
            channel: context.channel, peerID: peerID, address: address, target: target,
            hello: hello)
        endHandshake()
        guard delegate.connectionOpened(connection) else {
            return end(context, "this node does not want more connections from there")
        }
        phase = .open(connection)
        identityBox.noteOpened(now: MonotonicClock.now)
        watchSilence(context)
    }

    /// Asks a silent peer whether it lives, and gives it up after that.
    private func watchSilence(_ context: ChannelHandlerContext) {
        let loopBound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let task = context.eventLoop.assumeIsolated().scheduleTask(
            in: .seconds(Int64(Self.idleSecondsMax))
        ) {
            let (handler, context) = loopBound.value
            guard case .open(let connection) = handler.phase else { return }
            let silence = MonotonicClock.now - handler.lastByteAt
            if silence >= Self.silenceSecondsMax {
                let time = counted(Int(silence), "second")
                return handler.end(context, "the peer has been silent for \(time)")
            }
            if silence >= Self.idleSecondsMax { connection.send(.ping(0)) }
            handler.watchSilence(context)
        }
        timers = [task]
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A peer that closes without TLS's goodbye is no news: processes die.
        if let ssl = error as? NIOSSLError, case .uncleanShutdown = ssl {
            return context.close(promise: nil)
        }
        end(context, "the connection failed: \(error)")
    }

    func channelInactive(context: ChannelHandlerContext) {
        finish()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        // A socket that closes before it is active tells nobody else.
        finish()
    }

    func close(
        context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?
    ) {
        if case .open = phase { closeReason = "this node closed the connection" }
        finish()
        context.close(mode: mode, promise: promise)
    }

    /// Ends what the connection was for.
    ///
    /// At once and not when the socket is closed: TLS waits for the other side's goodbye, and a
    /// peer that was found lying could keep its requests, and reads that wait for them, for
    /// seconds.
    private func finish() {
        let before = phase
        phase = .closed
        for timer in timers { timer.cancel() }
        timers = []
        endHandshake()
        switch before {
        case .open(let connection):
            delegate.connectionClosed(connection, reason: closeReason)
        case .handshaking, .greeting:
            logger.debug("a connection ended before Hello: \(closeReason)")
        case .closed: break
        }
    }

    private func endHandshake() {
        handshakeEnded?()
        handshakeEnded = nil
    }

    private func end(_ context: ChannelHandlerContext, _ reason: String) {
        closeReason = reason
        finish()
        context.close(promise: nil)
    }
}
