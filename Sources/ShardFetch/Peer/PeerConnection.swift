internal import NIOCore
package import PetalsCore
internal import Synchronization

/// One established connection to a peer: who it is, and a way to send.
///
/// Sending is safe from any thread. What is sent after the connection closed is dropped; the close
/// itself is what everybody waits for.
package final class PeerConnection: Sendable {
    /// Names a connection for as long as the process runs; a peer that dials again gets another.
    package struct ID: Hashable, Comparable, Sendable, CustomStringConvertible {
        let rawValue: Int

        package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
        package var description: String { "#\(rawValue)" }
    }

    package let id: ID
    package let peerID: PeerID
    /// `HOST:PORT` of the other end.
    package let address: String
    /// The address that this node dialled; nil where the peer dialled.
    package let target: SocketEndpoint?
    /// Whether this node dialled.
    package var dialled: Bool { target != nil }
    /// What the peer said of itself.
    package let hello: ControlMessage.Hello

    /// What passes here, as far as somebody has to pay for it.
    let credit = CreditMeter()
    let channel: any Channel
    private let proven = Atomic<Bool>(false)
    private static let nextID = Atomic<Int>(0)

    init(
        channel: any Channel, peerID: PeerID, address: String, target: SocketEndpoint?,
        hello: ControlMessage.Hello
    ) {
        id = ID(rawValue: Self.nextID.wrappingAdd(1, ordering: .relaxed).newValue)
        self.channel = channel
        self.peerID = peerID
        self.address = address
        self.target = target
        self.hello = hello
    }

    /// Whether a leaf that came from here was what it should be.
    var hasProven: Bool { proven.load(ordering: .relaxed) }

    /// Notes that a leaf that came from here was what it should be.
    func noteProven() { proven.store(true, ordering: .relaxed) }

    /// Where the peer says that it can be dialled; nil where it does not.
    var listenEndpoint: SocketEndpoint? {
        guard hello.listenPort > 0, let address = IPAddress(parsing: host) else { return nil }
        return SocketEndpoint(address, port: hello.listenPort)
    }

    /// The other end's address without its port.
    var host: String { channel.remoteAddress?.ipAddress ?? address }

    /// The network that the other end belongs to, as limits count it; nil for loopback.
    var network: String? { channel.remoteAddress.flatMap(SocketEndpoint.network) }

    /// Sends a control message.
    package func send(_ message: ControlMessage) {
        channel.writeAndFlush(FrameEncoder.control(message), promise: nil)
    }

    /// Sends several control messages with one flush.
    package func send(_ messages: [ControlMessage]) {
        guard !messages.isEmpty else { return }
        for message in messages { channel.write(FrameEncoder.control(message), promise: nil) }
        channel.flush()
    }

    /// Sends a frame and says when it has left this process (or never will).
    func send(_ frame: ByteBuffer, whenSent: @escaping @Sendable () -> Void) {
        let promise = channel.eventLoop.makePromise(of: Void.self)
        promise.futureResult.whenComplete { _ in whenSent() }
        channel.writeAndFlush(frame, promise: promise)
    }

    /// Ends the connection.
    package func close() {
        channel.close(mode: .all, promise: nil)
    }
}

/// Who is told what happens on connections.
///
/// Called on event loops: it must not block.
protocol PeerConnectionDelegate: AnyObject, Sendable {
    /// A connection is established; whether it may stay.
    ///
    /// Called once for a connection, before any frame of it.
    func connectionOpened(_ connection: PeerConnection) -> Bool
    /// A frame other than Hello, Ping and Pong came.
    func connection(_ connection: PeerConnection, received frame: InboundFrame)
    /// The connection is over. Called once for each one that was allowed to stay, and last.
    func connectionClosed(_ connection: PeerConnection, reason: String)
}
