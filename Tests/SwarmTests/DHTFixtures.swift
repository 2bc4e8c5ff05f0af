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
