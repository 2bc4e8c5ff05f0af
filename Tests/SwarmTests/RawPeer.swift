import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS
import PetalsCore
import Synchronization

@testable import ShardFetch

/// One end of a connection that speaks the protocol and says whatever a test wants.
final class RawPeer: Sendable {
    let channel: any Channel
    private let inbox = Mutex<[InboundFrame]>([])
    private let closed = Atomic<Bool>(false)

    init(channel: any Channel) {
        self.channel = channel
    }

    /// What came so far.
    var frames: [InboundFrame] { inbox.withLock { $0 } }
    /// Whether the other side ended the connection.
    var isClosed: Bool { closed.load(ordering: .acquiring) }

    func send(_ message: ControlMessage) { send(FrameEncoder.control(message)) }

    func send(_ buffer: ByteBuffer) { channel.writeAndFlush(buffer, promise: nil) }

    fileprivate func note(_ frame: InboundFrame) { inbox.withLock { $0.append(frame) } }

    fileprivate func noteClosed() { closed.store(true, ordering: .releasing) }

    static let hello = ControlMessage.hello(
        .init(agent: "raw", requestsMax: 256, requestedBytesMax: 16 << 20))

    /// Dials a node as somebody who may have no certificate; nil when TCP is refused.
    static func dial(
        _ endpoint: SocketEndpoint, identity: NodeIdentity?, greets: Bool = true
    ) async throws -> RawPeer {
        let box = Mutex<RawPeer?>(nil)
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let peer = RawPeer(channel: channel)
                    box.withLock { $0 = peer }
                    let context = try identity?.clientContext ?? anonymousContext()
                    try channel.pipeline.syncOperations.addHandlers(
                        NIOSSLClientHandler(
                            context: context, serverHostname: nil,
                            customVerificationCallback: { $1.succeed(.certificateVerified) }),
                        RawHandler(peer: peer, greets: greets) { _, _ in })
                }
            }
        _ = try await bootstrap.connect(host: endpoint.host, port: endpoint.port).get()
        guard let peer = box.withLock({ $0 }) else { throw PetalsError(.system, "no channel") }
        return peer
    }

    private static func anonymousContext() throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv13
        configuration.applicationProtocols = [NodeIdentity.applicationProtocol]
        configuration.verifySignatureAlgorithms = [.ed25519]
        configuration.certificateVerification = .noHostnameVerification
        return try NIOSSLContext(configuration: configuration)
    }
}

/// Listens as a peer of its own identity, and follows a script.
final class RawServer: Sendable {
    typealias Script = @Sendable (InboundFrame, RawPeer) -> Void

    let identity: NodeIdentity
    let endpoint: SocketEndpoint
    private let listener: any Channel
    private let connected: Mutex<[RawPeer]>

    /// Every connection so far.
    var peers: [RawPeer] { connected.withLock { $0 } }

    private init(
        _ identity: NodeIdentity, _ endpoint: SocketEndpoint, _ listener: any Channel,
        _ connected: consuming Mutex<[RawPeer]>
    ) {
        self.identity = identity
        self.endpoint = endpoint
        self.listener = listener
        self.connected = connected
    }

    /// Starts a peer that greets, and then does what the script says with each frame.
    static func start(
        seed: UInt8 = 77, greets: Bool = true, _ script: @escaping Script
    ) async throws -> RawServer {
        let identity = try NodeIdentity(seed: Array(repeating: seed, count: 32))
        let owner = Mutex<RawServer?>(nil)
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let peer = RawPeer(channel: channel)
                    owner.withLock { $0 }?.connected.withLock { $0.append(peer) }
                    try channel.pipeline.syncOperations.addHandlers(
                        NIOSSLServerHandler(
                            context: identity.serverContext,
                            customVerificationCallback: { $1.succeed(.certificateVerified) }),
                        RawHandler(peer: peer, greets: greets, script: script))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let endpoint = try SocketEndpoint(parsing: "127.0.0.1:\(listener.localAddress?.port ?? 0)")
        let server = RawServer(identity, endpoint, listener, Mutex([]))
        owner.withLock { $0 = server }
        return server
    }

    func stop() async {
        // It is closed, or closed already.
        try? await listener.close().get()
        for peer in peers { peer.channel.close(promise: nil) }
    }
}

/// Listens, without TLS, and answers every connection with the same bytes.
func startGarbageSpeaker(_ bytes: [UInt8]) async throws -> (SocketEndpoint, any Channel) {
    let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                guard !bytes.isEmpty else { return }
                channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
            }
        }
        .bind(host: "127.0.0.1", port: 0).get()
    let port = listener.localAddress?.port ?? 0
    return (try SocketEndpoint(parsing: "127.0.0.1:\(port)"), listener)
}

/// Sends bytes to a port without TLS, and says when the other side has had enough.
func sendGarbage(_ bytes: [UInt8], to endpoint: SocketEndpoint) async throws {
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .connect(host: endpoint.host, port: endpoint.port).get()
    // The node may close first, which is what it should do.
    try? await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get()
    try? await channel.closeFuture.get()
}

private final class RawHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let peer: RawPeer
    private let greets: Bool
    private let script: RawServer.Script
    private var assembler = FrameAssembler()

    init(peer: RawPeer, greets: Bool, script: @escaping RawServer.Script) {
        self.peer = peer
        self.greets = greets
        self.script = script
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent, greets { peer.send(RawPeer.hello) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        do {
            while let frame = try assembler.next(from: &buffer) {
                peer.note(frame)
                script(frame, peer)
            }
        } catch {
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) { peer.noteClosed() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
