internal import Glibc
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import NIOSSL
internal import PetalsCore
internal import Synchronization

/// The sockets: listens, dials, and builds each connection's pipeline.
///
/// Knows TLS and framing, and nothing of shards.
final class Transport: Sendable {
    private let group: any EventLoopGroup
    private let identity: NodeIdentity
    private let logger: Logger
    private let book: Mutex<PeerBook>
    private let listener = Mutex<(any Channel)?>(nil)

    /// Bytes that a channel may have queued before it says that it is not writable: two cells with
    /// their neighbours, so that the next one is read from disk while the last is being sent.
    static let writeWaterMark = ChannelOptions.Types.WriteBufferWaterMark(
        low: 256 << 10, high: 1 << 20)

    init(group: any EventLoopGroup, identity: NodeIdentity, logger: Logger) {
        self.group = group
        self.identity = identity
        self.logger = logger
        book = Mutex(PeerBook())
    }

    /// Calls `body` with the book of peers.
    func withBook<R: Sendable>(_ body: (inout PeerBook) -> R) -> R {
        book.withLock { body(&$0) }
    }

    /// Accepts connections on an address.
    ///
    /// - Returns: the address with the port that was chosen where 0 was asked.
    /// - Throws: `PetalsError.system` or `.busy` where that is impossible.
    func listen(
        on endpoint: SocketEndpoint, delegate: any PeerConnectionDelegate
    ) async throws(PetalsError) -> SocketEndpoint {
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.writeBufferWaterMark, value: Self.writeWaterMark)
            .childChannelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(
                    minimum: 4096, initial: 65_536, maximum: 262_144)
            )
            .childChannelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture {
                    try prepare(channel, target: nil, box: .init(), delegate: delegate)
                }
            }
        do {
            let channel = try await bootstrap.bind(host: endpoint.host, port: endpoint.port).get()
            listener.withLock { $0 = channel }
            let port = channel.localAddress?.port ?? endpoint.port
            return try SocketEndpoint(parsing: Self.describe(host: endpoint.host, port: port))
        } catch {
            // SAFETY: strerror gives a valid string for every number; it is copied at once.
            let reason = (error as? IOError).map {
                unsafe String(cString: strerror($0.errnoCode))
            }
            throw PetalsError(
                .busy,
                "cannot listen on \(endpoint): \(reason ?? "\(error)"); choose another address "
                    + "with --listen, port 0 picks a free one")
        }
    }

    private static func describe(host: String, port: Int) -> String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// Dials an address once; returns when the connection is over.
    ///
    /// - Returns: what became of it.
    func dial(
        _ endpoint: SocketEndpoint, delegate: any PeerConnectionDelegate
    ) async -> DialPlan.Outcome {
        let box = PeerHandler.PeerIdentityBox()
        let bootstrap = ClientBootstrap(group: group)
            .connectTimeout(.seconds(Limits.handshakeSecondsMax))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.writeBufferWaterMark, value: Self.writeWaterMark)
            .channelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(
                    minimum: 4096, initial: 65_536, maximum: 262_144)
            )
            .channelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture {
                    try prepare(channel, target: endpoint, box: box, delegate: delegate)
                }
            }
        do {
            let channel = try await bootstrap.connect(host: endpoint.host, port: endpoint.port)
                .get()
            return await withTaskCancellationHandler {
                // The channel reports how it ended to its handler; here only the end counts.
                try? await channel.closeFuture.get()
                return box.outcome(now: MonotonicClock.now)
            } onCancel: {
                channel.close(promise: nil)
            }
        } catch {
            logger.debug("cannot reach \(endpoint): \(error)")
            return .failed
        }
    }

    private func prepare(
        _ channel: any Channel, target: SocketEndpoint?, box: PeerHandler.PeerIdentityBox,
        delegate: any PeerConnectionDelegate
    ) throws {
        let counted = target != nil ? nil : channel.remoteAddress?.ipAddress
        if let counted {
            guard withBook({ $0.beginHandshake(host: counted, now: MonotonicClock.now) }) else {
                throw PetalsError(.busy, "too many unfinished handshakes from \(counted)")
            }
        }
        let identity = identity
        let logger = logger
        let check: NIOSSLCustomVerificationCallback = { chain, promise in
            do throws(PetalsError) {
                let peerID = try identity.verifyPeer(chain)
                guard peerID != identity.peerID else {
                    box.noteOurselves()
                    throw PetalsError(.protocolViolation, "the address leads back to this node")
                }
                box.peerID = peerID
                promise.succeed(.certificateVerified)
            } catch {
                logger.debug("refused a peer: \(error.message)")
                promise.succeed(.failed)
            }
        }
        let pipeline = channel.pipeline.syncOperations
        if target != nil {
            try pipeline.addHandler(
                NIOSSLClientHandler(
                    context: identity.clientContext, serverHostname: nil,
                    customVerificationCallback: check))
        } else {
            try pipeline.addHandler(
                NIOSSLServerHandler(
                    context: identity.serverContext, customVerificationCallback: check))
        }
        let hello = ControlMessage.Hello(
            agent: "petalsfs", requestsMax: Limits.requestsPerPeerMax,
            requestedBytesMax: Limits.requestedBytesPerPeerMax,
            listenPort: listener.withLock { $0?.localAddress?.port } ?? 0)
        try pipeline.addHandler(
            PeerHandler(
                delegate: delegate, hello: hello, identityBox: box, target: target,
                logger: logger,
                handshakeEnded: { [self] in
                    if let counted { withBook { $0.endHandshake(host: counted) } }
                }))
    }

    /// Stops accepting; established connections are closed by who holds them.
    func stopListening() async {
        let channel = listener.withLock { listener in
            defer { listener = nil }
            return listener
        }
        // A listener that is closed already has nothing left to report.
        try? await channel?.close().get()
    }
}
