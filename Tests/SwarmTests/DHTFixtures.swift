import NIOCore
import NIOPosix
import PetalsCore
import PetalsTesting
import Synchronization

@testable import ShardFetch

/// A DHT node of a test, with an address of 127.0.0.0/8 for itself, and what it found.
final class DHTNode: Sendable {
    let table: DistributedHashTable
    let log = LogBook()
    private let hints = Mutex<Set<PeerHint>>([])

    init(_ configuration: DHTConfiguration) {
        table = DistributedHashTable(configuration: configuration, logger: log.logger)
    }

    /// A node of a private DHT.
    convenience init(
        host: String, bootstrap: [SocketEndpoint] = [], statePath: String? = nil
    ) throws {
        var configuration = DHTConfiguration(
            bootstrap: bootstrap, listen: [try SocketEndpoint(parsing: host + ":0")],
            statePath: statePath)
        configuration.isPrivate = true
        self.init(configuration)
    }

    /// Starts with a TCP port to announce, at which nobody has to listen.
    func start(port: Int) async throws {
        try await table.start(listenPort: port) { [weak self] found in
            self?.hints.withLock { $0.formUnion(found) }
        }
    }

    /// Where it listens for UDP.
    var endpoint: SocketEndpoint {
        guard let endpoint = table.status.listening.first else {
            preconditionFailure("the node runs")
        }
        return endpoint
    }

    /// All that it found so far.
    var found: Set<PeerHint> { hints.withLock { $0 } }

    /// Whether it found a peer under a topic.
    func hasFound(_ topic: Topic, at endpoint: String) -> Bool {
        found.contains { $0.topic == topic && $0.endpoint.description == endpoint }
    }
}

/// The DHT nodes of one test, each in an address of its own: several DHT nodes on one address would
/// be one to each other.
struct DHTLoopback {
    /// A random /24 of 127.0.0.0/8, so that tests that run side by side do not meet.
    private let prefix = "127.\(UInt8.random(in: 1...254)).\(UInt8.random(in: 1...254))."

    /// The address of the test's node `number`.
    func host(_ number: Int) -> String { prefix + String(number) }
}

/// A topic that no other test has.
func randomTopic() throws -> Topic {
    guard let topic = Topic((0..<20).map { _ in UInt8.random(in: 0...255) }) else {
        throw PetalsError(.badInput, "twenty bytes are a topic")
    }
    return topic
}

/// Runs a test with DHT nodes, which are all stopped at its end, however it ends.
func withNodes(_ nodes: [DHTNode], _ body: () async throws -> Void) async throws {
    func stopAll() async {
        for node in nodes { await node.table.stop() }
    }
    do {
        try await body()
        await stopAll()
    } catch {
        await stopAll()
        throw error
    }
}

/// A DHT node that answers every question with peers that it made up, and keeps what it is told.
///
/// It speaks just enough of BEP 5: whatever is asked, the answer has its id, a token and the peers.
final class LyingNode: ChannelInboundHandler, Sendable {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    private let id = (0..<20).map { _ in UInt8.random(in: 0...255) }
    private let peers: [[UInt8]]
    private let queries = Mutex<[[UInt8]]>([])

    init(peers: [[UInt8]]) { self.peers = peers }

    /// Listens on an address, until the channel is closed.
    func listen(on host: String) async throws -> (channel: any Channel, address: SocketEndpoint) {
        let channel = try await DatagramBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelInitializer { $0.pipeline.addHandler(self) }
            .bind(host: host, port: 0).get()
        let port = channel.localAddress?.port ?? 0
        return (channel, try SocketEndpoint(parsing: "\(host):\(port)"))
    }

    /// Questions for peers so far.
    var questions: Int { count("9:get_peers") }

    /// Queries so far that contain a text.
    func count(_ text: String) -> Int {
        queries.withLock { $0.filter { $0.containsBytes(text) }.count }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        let query = Array(envelope.data.readableBytesView)
        // The transaction's id comes last but one: 1:t2:XX1:v...
        let mark = Array("1:t2:".utf8)
        guard query.containsBytes("1:y1:q"),
            let start = query.indices.last(where: { query[$0...].starts(with: mark) }),
            start + 7 <= query.count
        else { return }
        queries.withLock { $0.append(query) }
        var answer = Array("d1:rd2:id20:".utf8) + id + Array("5:token4:abcd6:valuesl".utf8)
        for peer in peers { answer += Array("\(peer.count):".utf8) + peer }
        answer += Array("ee1:t2:".utf8) + query[(start + 5)..<(start + 7)] + Array("1:y1:re".utf8)
        let reply = AddressedEnvelope(
            remoteAddress: envelope.remoteAddress, data: ByteBuffer(bytes: answer))
        context.writeAndFlush(wrapOutboundOut(reply), promise: nil)
    }
}

extension [UInt8] {
    fileprivate func containsBytes(_ text: String) -> Bool {
        let mark = Array(text.utf8)
        return indices.contains { self[$0...].starts(with: mark) }
    }
}
