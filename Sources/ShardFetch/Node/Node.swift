package import Logging
internal import NIOCore
internal import NIOPosix
internal import PetalsCodec
package import PetalsCore
package import PetalsStore
internal import Synchronization

/// A running node: the network room's door.
///
/// What it shows the rooms above is a handful of calls: start, stop, a reader for a file,
/// documents, whole shards, status. It wires transport, scheduler, server and store; it decides
/// nothing itself.
package final class Node: Sendable {
    package let identity: NodeIdentity
    package let store: Store
    package let logger: Logger

    let engine: FetchEngine
    let documents: DocumentFetcher
    let server: ShardServer
    let topics: TopicTable
    let transport: Transport
    let stalls: StallWatch

    private let configuration: NodeConfiguration
    private let group: MultiThreadedEventLoopGroup
    private let pool: NIOThreadPool
    private let router: ConnectionRouter
    private let state = Mutex(State())

    private struct State {
        var tasks: [Task<Void, Never>] = []
        var listening: SocketEndpoint?
        var dialled: Set<SocketEndpoint> = []
    }

    /// Wires a node over a store; nothing listens or dials before `start()`.
    package init(
        store: Store, identity: NodeIdentity, configuration: NodeConfiguration, logger: Logger
    ) {
        Limits.checkRelations()
        self.store = store
        self.identity = identity
        self.configuration = configuration
        self.logger = logger
        group = MultiThreadedEventLoopGroup(numberOfThreads: configuration.threads)
        pool = NIOThreadPool(numberOfThreads: configuration.threads)
        topics = TopicTable(today: configuration.today)
        transport = Transport(group: group, identity: identity, logger: logger)
        let router = ConnectionRouter(transport: transport, logger: logger)
        self.router = router
        let blame: @Sendable (PeerConnection, String) -> Void = { router.blame($0, $1) }
        let engine = FetchEngine(
            pool: pool, logger: logger, memory: configuration.memory,
            today: configuration.today, blame: blame)
        self.engine = engine
        documents = DocumentFetcher(logger: logger, blame: blame)
        server = ShardServer(store: store, topics: topics, pool: pool, logger: logger)
        stalls = StallWatch(logger: logger) { engine.describe($0) }
    }

    // MARK: Life

    /// Listens, dials, and serves what the store holds.
    ///
    /// - Throws: `PetalsError` where the address cannot be had.
    package func start() async throws(PetalsError) {
        pool.start()
        router.connect(engine: engine, documents: documents, server: server)
        for blob in store.allBlobs() { announce(blob) }
        if let listen = configuration.listen {
            let endpoint = try await transport.listen(on: listen, delegate: router)
            state.withLock { $0.listening = endpoint }
            logger.info("listening on \(endpoint) as \(identity.peerID.short)")
        }
        dial(configuration.peers)
        let server = server
        let teller = Task {
            // Cancelled: the node is stopping and has nothing more to tell.
            while (try? await Task.sleep(for: .seconds(1))) != nil { server.tellHoldings() }
        }
        state.withLock { $0.tasks.append(teller) }
    }

    /// The address that the node listens on, once it does.
    package var listening: SocketEndpoint? { state.withLock { $0.listening } }

    /// Whether there is any address that this node dials.
    package var isDialling: Bool { state.withLock { !$0.dialled.isEmpty } }

    /// Keeps a connection to each address, from now on.
    package func dial(_ endpoints: [SocketEndpoint]) {
        for endpoint in endpoints {
            let isNew = state.withLock { $0.dialled.insert(endpoint).inserted }
            guard isNew else { continue }
            let dialler = Task { [transport, router, logger] in
                var backoff = DialBackoff()
                var generator = SystemRandomNumberGenerator()
                var hasWarned = false
                while !Task.isCancelled {
                    let began = MonotonicClock.now
                    let answered = await transport.dial(endpoint, delegate: router)
                    if !answered, !hasWarned, !Task.isCancelled {
                        hasWarned = true
                        logger.warning("\(endpoint) does not answer; it is dialled until it does")
                    }
                    // A connection that lasted was a good one.
                    if MonotonicClock.now - began > 10 { backoff.succeeded() }
                    let wait = backoff.failed(using: &generator)
                    // Cancelled: the loop's condition ends it.
                    try? await Task.sleep(for: .seconds(wait))
                }
            }
            state.withLock { $0.tasks.append(dialler) }
        }
    }

    /// Ends all connections and waits for the threads.
    package func stop() async {
        let tasks = state.withLock { state in
            defer { state.tasks = [] }
            return state.tasks
        }
        for task in tasks { task.cancel() }
        await transport.stopListening()
        router.closeAll()
        for task in tasks { await task.value }
        do {
            try await pool.shutdownGracefully()
            try await group.shutdownGracefully()
        } catch {
            logger.debug("the threads did not end in order: \(error)")
        }
    }

    // MARK: Files

    /// Makes a blob findable for peers.
    package func announce(_ blob: StoredBlob) {
        topics.add(blob)
    }

    /// Lets go of blobs that were removed from the registry.
    package func forget(_ blobs: [BlobID]) {
        for id in blobs {
            topics.remove(id)
            if let session = engine.openedSession(id) { engine.close(session) }
        }
    }

    /// Lets go of what was kept in memory of blobs, as what is read of them next.
    package func releaseMemory(of blobs: [BlobID]) {
        for id in blobs {
            if let session = engine.openedSession(id) { engine.hot.remove(session.handle) }
        }
    }

    /// A reader for a file.
    package func reader(for record: FileRecord) -> BlobReader {
        BlobReader(record: record, node: self)
    }

    /// Fetches a sealed manifest; waits until some peer has it.
    ///
    /// - Throws: `PetalsError.cancelled`.
    package func fetchManifest(_ id: ManifestID) async throws(PetalsError) -> [UInt8] {
        try await documents.fetch(id, bytesMax: Limits.manifestBytesMax)
    }

    /// Fetches what a file's first read would have to fetch first: its blob's descriptor.
    ///
    /// - Throws: as `open`.
    package func warm(_ record: FileRecord) async throws(PetalsError) {
        _ = try await open(record)
    }

    /// Opens a file's blob: its descriptor comes from the store or from peers.
    func open(_ record: FileRecord) async throws(PetalsError) -> BlobSession {
        let relayKey = KeyDerivation.relayKey(of: record.blobKey)
        let session = try await open(record.blobID, relayKey: relayKey)
        // A blob that is here was opened with some other record's key.
        guard session.stored.relayKey == relayKey else {
            throw PetalsError(
                .corrupt,
                "a file names the blob \(record.blobID.short) with a key that is not its; it was "
                    + "published wrongly")
        }
        try BlockPipeline.check(record, against: session.stored.descriptor)
        return session
    }

    /// Opens a blob by the right to hold it.
    ///
    /// - Throws: `PetalsError.cancelled` while it waits for the descriptor; `.corrupt` when the key
    ///   does not open it.
    package func open(
        _ id: BlobID, relayKey: SecretKey
    ) async throws(PetalsError) -> BlobSession {
        let stored: StoredBlob
        if let here = store.blob(id) {
            stored = here
        } else {
            let descriptor = try await documents.fetch(
                id, bytesMax: Limits.descriptorBytesMax)
            stored = try store.blob(id: id, relayKey: relayKey, descriptor: descriptor)
        }
        announce(stored)
        return engine.session(for: stored)
    }

    /// The session of a file that is open already.
    func openedSession(_ record: FileRecord) -> BlobSession? {
        if let session = engine.openedSession(record.blobID) { return session }
        return store.blob(record.blobID).map { engine.session(for: $0) }
    }

    // MARK: Status

    /// What the node is doing; answers from memory.
    package func status() -> NodeStatus {
        NodeStatus(
            peerID: Base32.encode(identity.peerID.bytes),
            listen: listening?.description,
            peers: router.connections().map {
                NodeStatus.Peer(
                    id: Base32.encode($0.peerID.bytes), address: $0.address,
                    agent: $0.hello.agent, dialled: $0.dialled)
            },
            fetchedBytes: engine.metrics.verifiedBytes.load(ordering: .relaxed),
            hedgedBytes: engine.hedgedBytes,
            servedBytes: server.servedBytes.load(ordering: .relaxed),
            damagedLeaves: engine.metrics.damagedLeaves.load(ordering: .relaxed),
            rebuiltCells: engine.metrics.rebuiltCells.load(ordering: .relaxed),
            wantedCells: engine.wantedCells, memoryLimit: configuration.memory.bytes,
            memoryHot: engine.hot.bytes, memoryUnderWay: engine.bytesUnderWay)
    }

    /// Peers connected at the moment.
    package var peerCount: Int { router.connections().count }
}
