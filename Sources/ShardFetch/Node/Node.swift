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

    let configuration: NodeConfiguration
    private let group: MultiThreadedEventLoopGroup
    private let pool: NIOThreadPool
    let router: ConnectionRouter
    let discovery: Discovery
    let catalogues: CatalogueExchange
    let credit: CreditKeeper
    let dht: DistributedHashTable?
    private let state = Mutex(State())

    private struct State {
        var tasks: [Task<Void, Never>] = []
        var listening: SocketEndpoint?
    }

    /// The parts of a node that its discovery works with.
    struct Parts {
        let identity: NodeIdentity
        let transport: Transport
        let router: ConnectionRouter
        let topics: TopicTable
        let engine: FetchEngine
        let server: ShardServer
        let store: Store
        let logger: Logger
        let catalogues: CatalogueExchange
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
        let credit = CreditKeeper(
            identity: identity, registry: store.registry, pool: pool, logger: logger,
            time: configuration.time)
        self.credit = credit
        let engine = FetchEngine(
            pool: pool, logger: logger, memory: configuration.memory,
            today: configuration.today, credit: credit, blame: blame)
        self.engine = engine
        documents = DocumentFetcher(logger: logger, blame: blame)
        let server = ShardServer(
            store: store, topics: topics, pool: pool, logger: logger, credit: credit,
            demand: engine.demand, schedule: configuration.uploads,
            minuteOfDay: configuration.minuteOfDay)
        self.server = server
        engine.demand.whenOver { [weak server] in server?.demandIsOver() }
        credit.whenRoom.set { [weak server] in server?.hasRoom($0) }
        credit.whenTerms.set { [weak engine] in engine?.noteAsk($0.ask, of: $0.connection) }
        catalogues = CatalogueExchange(
            registry: store.registry, documents: documents, pool: pool, logger: logger,
            today: configuration.today, time: configuration.time, blame: blame)
        var rules = DialRules()
        rules.localOnly = configuration.localOnly
        rules.listening = configuration.listen.flatMap { IPAddress(parsing: $0.host) }
        // A wildcard is all addresses and none.
        if rules.listening?.scope == .unusable { rules.listening = nil }
        var sources = configuration.sources
        if let place = configuration.lan {
            let lan = LocalNetwork(
                group: group, pool: pool, listening: rules.listening, place: place, logger: logger)
            sources.insert((.lan, lan), at: 0)
        }
        dht = configuration.dht.map { DistributedHashTable(configuration: $0, logger: logger) }
        if let dht { sources.append((.dht, dht)) }
        let discovery = Discovery(
            sources: sources,
            node: Parts(
                identity: identity, transport: transport, router: router, topics: topics,
                engine: engine, server: server, store: store, logger: logger, catalogues: catalogues
            ),
            rules: rules, exchanges: configuration.exchangesPeers,
            remembers: configuration.remembersPeers, today: configuration.today)
        self.discovery = discovery
        stalls = StallWatch(
            logger: logger, waits: { discovery.wake() }, describe: { engine.describe($0) })
    }

    /// Seconds between two looks at the stamps of published files.
    private static let sourceSeconds = 30

    // MARK: Life

    /// Listens, dials, and serves what the store holds.
    ///
    /// - Throws: `PetalsError` where the address cannot be had.
    package func start() async throws(PetalsError) {
        pool.start()
        router.connect(
            engine: engine, documents: documents, server: server, discovery: discovery,
            catalogues: catalogues, credit: credit)
        try credit.start()
        try startCatalogues()
        for blob in store.allBlobs() { announce(blob) }
        if let listen = configuration.listen {
            let endpoint = try await transport.listen(on: listen, delegate: router)
            state.withLock { $0.listening = endpoint }
            logger.info("listening on \(endpoint) as \(identity.peerID.label)")
        }
        discovery.give(configuration.peers)
        await discovery.start(listening: listening)
        let discovering = Task { [discovery] in await discovery.run() }
        let (server, catalogues, store, pool) = (server, catalogues, store, pool)
        let credit = credit
        let teller = Task {
            var seconds = 0
            // Cancelled: the node is stopping and has nothing more to tell.
            while (try? await Task.sleep(for: .seconds(1))) != nil {
                server.look()
                server.tellHoldings()
                credit.look()
                catalogues.followDay()
                seconds += 1
                guard seconds % Self.sourceSeconds == 0 else { continue }
                pool.submit { if case .active = $0 { store.checkSources() } }
            }
        }
        state.withLock { $0.tasks += [teller, discovering] }
    }

    /// The address that the node listens on, once it does.
    package var listening: SocketEndpoint? { state.withLock { $0.listening } }

    /// Whether there is any address that this node dials, or anywhere to look for one.
    package var canFindPeers: Bool { discovery.canFindPeers }

    /// Keeps a connection to each address, from now on.
    package func dial(_ endpoints: [SocketEndpoint]) { discovery.give(endpoints) }

    /// Ends all connections and waits for the threads.
    package func stop() async {
        let tasks = state.withLock { state in
            defer { state.tasks = [] }
            return state.tasks
        }
        for task in tasks { task.cancel() }
        await transport.stopListening()
        await credit.signOff()
        router.closeAll()
        for task in tasks { await task.value }
        await discovery.stop()
        await credit.stop()
        do {
            try await pool.shutdownGracefully()
            try await group.shutdownGracefully()
        } catch {
            logger.debug("the threads did not end in order: \(error)")
        }
    }

    /// Sends at another limit from now on.
    package func setUploads(_ schedule: UploadSchedule) {
        server.setUploads(schedule)
        discovery.surveySoon()
    }

    // MARK: Files

    /// Makes a blob findable for peers.
    package func announce(_ blob: StoredBlob) {
        guard topics.add(blob) else { return }
        discovery.surveySoon()
    }

    /// Lets go of blobs that were removed from the registry.
    package func forget(_ blobs: [BlobID]) {
        for id in blobs {
            topics.remove(id)
            if let session = engine.openedSession(id) { engine.close(session) }
        }
        discovery.surveySoon()
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
    /// - Parameter relayKey: the model's, from which the topic follows where its holders meet.
    /// - Throws: `PetalsError.cancelled`.
    package func fetchManifest(
        _ id: ManifestID, relayKey: SecretKey
    ) async throws(PetalsError) -> [UInt8] {
        try await discovery.looking(for: .model(id, relayKey: relayKey)) {
            () async throws(PetalsError) in
            try await documents.fetch(id, bytesMax: Limits.manifestBytesMax)
        }
    }

    /// Says which manifests are here, by their models' relay keys: they are announced, and given to
    /// whoever asks.
    ///
    /// - Parameter models: all of them; they take the place of those before.
    package func offer(models: [ManifestID: SecretKey]) { discovery.offer(models: models) }

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
            let descriptor = try await discovery.looking(for: .blob(id, relayKey: relayKey)) {
                () async throws(PetalsError) in
                try await documents.fetch(id, bytesMax: Limits.descriptorBytesMax)
            }
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
            peerID: identity.peerID.peerName,
            listen: listening?.description,
            peers: router.connections().map {
                NodeStatus.Peer(
                    id: $0.peerID.peerName, address: $0.address,
                    agent: $0.hello.agent, dialled: $0.dialled,
                    origin: discovery.origin(of: $0)?.rawValue)
            },
            sources: discovery.sourceStatus(),
            dht: dhtStatus,
            fetchedBytes: engine.metrics.verifiedBytes.load(ordering: .relaxed),
            hedgedBytes: engine.hedgedBytes,
            servedBytes: server.servedBytes.load(ordering: .relaxed),
            upload: server.uploadStatus(),
            damagedLeaves: engine.metrics.damagedLeaves.load(ordering: .relaxed),
            rebuiltCells: engine.metrics.rebuiltCells.load(ordering: .relaxed),
            wantedCells: engine.wantedCells, memoryLimit: configuration.memory.bytes,
            memoryHot: engine.hot.bytes, memoryUnderWay: engine.bytesUnderWay)
    }

    private var dhtStatus: NodeStatus.DHT? {
        guard let status = dht?.status else { return nil }
        return NodeStatus.DHT(
            listen: status.listening.map(\.description), nodes: status.nodes,
            mappedPort: status.mappedPort)
    }

    /// Peers connected at the moment.
    package var peerCount: Int { router.connections().count }
}
