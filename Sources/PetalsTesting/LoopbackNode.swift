internal import PetalsCore
package import PetalsStore
package import ShardFetch
internal import Synchronization

/// A real node with a store of its own, listening on a port of 127.0.0.1.
package final class LoopbackNode: Sendable {
    /// Holds the node's state folder, `state`.
    package let folder: TemporaryFolder
    package let store: Store
    package let node: Node
    package let log: LogBook
    private let state: StateFolder

    /// How a node of a test is set up.
    package struct Options: Sendable {
        /// Whom the node dials.
        package var peers: [SocketEndpoint] = []
        package var listen = "127.0.0.1:0"
        /// Where it meets others that nobody introduces to it; nil: nowhere.
        package var lan: LocalNetwork.Place?
        package var exchangesPeers = false
        package var remembersPeers = false
        package var sources: [(origin: PeerOrigin, source: any PeerSource)] = []
        package var memory = MemoryBudget.standard
        package var uploads = UploadSchedule.unlimited
        /// Minutes since midnight, by which uploads change.
        package var minuteOfDay: @Sendable () -> Int = { 0 }
        /// An earlier node's folder, when this one is that node after a restart.
        package var folder: TemporaryFolder?
        package var day: @Sendable () -> UInt32 = { UTCDay.today }
        /// Where the node's state lies, if not in a folder that goes away with it.
        package var statePath: String?
        /// A disk that fails on purpose.
        package var faults: DiskFaults?

        package init() {}
    }

    /// Opens the store and makes the node, which is not running yet.
    package init(_ options: Options) throws {
        folder = try options.folder ?? TemporaryFolder()
        log = LogBook()
        state = try StateFolder(
            opening: options.statePath ?? folder.path + "/state", faults: options.faults)
        store = try Store(folder: state, logger: log.logger, limit: nil)
        var configuration = NodeConfiguration()
        configuration.listen = try SocketEndpoint(parsing: options.listen)
        configuration.peers = options.peers
        configuration.lan = options.lan
        configuration.sources = options.sources
        configuration.exchangesPeers = options.exchangesPeers
        configuration.remembersPeers = options.remembersPeers
        configuration.threads = 1
        configuration.memory = options.memory
        configuration.today = options.day
        configuration.uploads = options.uploads
        configuration.minuteOfDay = options.minuteOfDay
        node = Node(
            store: store, identity: try NodeIdentity(seed: state.identitySeed()),
            configuration: configuration, logger: log.logger)
    }

    /// Where the node listens.
    ///
    /// - Precondition: it was started.
    package var endpoint: SocketEndpoint {
        guard let endpoint = node.listening else { preconditionFailure("the node runs") }
        return endpoint
    }

    /// Stops the node and gives its folder back, so that another one can be started on it.
    package func stop() async {
        await node.stop()
        state.release()
    }
}

/// The nodes of one test.
package final class Swarm: Sendable {
    private let nodes = Mutex<[LoopbackNode]>([])

    /// Starts a node; `prepare` may fill its store before that.
    package func start(
        _ options: LoopbackNode.Options = .init(), prepare: (LoopbackNode) throws -> Void = { _ in }
    ) async throws -> LoopbackNode {
        let node = try LoopbackNode(options)
        nodes.withLock { $0.append(node) }
        try prepare(node)
        try await node.node.start()
        return node
    }

    /// Starts a node that dials others.
    package func start(
        peers: [LoopbackNode], prepare: (LoopbackNode) throws -> Void = { _ in }
    ) async throws -> LoopbackNode {
        var options = LoopbackNode.Options()
        options.peers = peers.map(\.endpoint)
        return try await start(options, prepare: prepare)
    }

    /// Stops a node in mid-test.
    package func stop(_ node: LoopbackNode) async {
        nodes.withLock { nodes in nodes.removeAll { $0 === node } }
        await node.stop()
    }

    fileprivate func stopAll() async {
        let all = nodes.withLock { nodes in
            defer { nodes = [] }
            return nodes
        }
        for node in all { await node.stop() }
    }
}

/// Runs a test with nodes, which are all stopped at its end, however it ends.
package func withSwarm(_ body: (Swarm) async throws -> Void) async throws {
    let swarm = Swarm()
    do {
        try await body(swarm)
        await swarm.stopAll()
    } catch {
        await swarm.stopAll()
        throw error
    }
}

/// Waits until a condition holds.
///
/// - Returns: false after a deadline that only a test that hangs reaches.
package func eventually(
    seconds: Int = 60, _ condition: @Sendable () async throws -> Bool
) async rethrows -> Bool {
    let clock = ContinuousClock()
    let deadline = clock.now + .seconds(seconds)
    while clock.now < deadline {
        if try await condition() { return true }
        // A test that is cancelled ends at its next step.
        try? await Task.sleep(for: .milliseconds(5))
    }
    return false
}
