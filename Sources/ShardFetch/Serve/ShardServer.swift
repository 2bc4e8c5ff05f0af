internal import DequeModule
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

/// Answers peers: what this node holds, documents, cell layers and leaves.
///
/// Requests wait in bounded queues, one pair for each connection, demand before bulk. A worker
/// takes one at a time: reads the leaves (the store checks them against the tree), adds the proof,
/// sends. It stops when a megabyte has not left the process yet and goes on when it has, so a slow
/// peer costs memory for one megabyte and nobody else's time.
///
/// Where uploads are limited, or a read of this node waits, requests wait for their turn instead
/// (`ShardServer+Uploads.swift`).
final class ShardServer: Sendable {
    struct State {
        var clients: [PeerConnection.ID: Client] = [:]
        var uploads: UploadPlan
        /// Whether a worker is taking turns; there is never more than one.
        var isTakingTurns = false
        /// When the next turn is looked for, if that is settled.
        var nextTurnAt: Instant?
        var meter = UploadMeter()
        var fresh = FreshRows()
        /// Whether all data of a blob is here, as it was found at a number of its changes.
        var wholeness: [BlobID: (changes: Int, isWhole: Bool)] = [:]
    }

    let state: Mutex<State>
    let pool: NIOThreadPool
    let topics: TopicTable
    let records: RecordTable
    let store: Store
    let logger: Logger
    let credit: CreditKeeper
    /// Bytes of leaves sent.
    let servedBytes = Atomic<Int>(0)
    /// Bytes that this node has left for donating; nil where it does not donate.
    let donorRoom = Mutex<Int?>(nil)
    /// Gives the log of a catalogue by its digest; nil where there is none of that.
    let catalogueLog = Callback<Digest, [UInt8]?>()
    /// Bytes of the frames that carried them.
    let uploadedBytes = Atomic<Int>(0)
    let demand: DemandGauge
    let schedule: Mutex<UploadSchedule>
    /// The limit in force, in bytes a second; below 0 for none.
    let limit: Atomic<Int>
    /// Whether requests may wait that go on when no read of this node does.
    let isHoldingBack = Atomic<Bool>(false)
    let minuteOfDay: @Sendable () -> Int

    init(
        store: Store, topics: TopicTable, pool: NIOThreadPool, logger: Logger,
        credit: CreditKeeper, demand: DemandGauge = .init(), schedule: UploadSchedule = .unlimited,
        minuteOfDay: @escaping @Sendable () -> Int = { LocalTime.minuteOfDay }
    ) {
        let rate = schedule.rate(atMinute: minuteOfDay())
        state = Mutex(State(uploads: UploadPlan(limit: rate, now: MonotonicClock.now)))
        limit = Atomic(rate ?? -1)
        self.schedule = Mutex(schedule)
        self.minuteOfDay = minuteOfDay
        self.demand = demand
        self.store = store
        self.topics = topics
        records = RecordTable(store: store)
        self.pool = pool
        self.logger = logger
        self.credit = credit
    }

    func connectionOpened(_ connection: PeerConnection) {
        state.withLock { $0.clients[connection.id] = Client(connection: connection) }
    }

    func connectionClosed(_ connection: PeerConnection) {
        state.withLock { $0.clients[connection.id] = nil }
    }

    /// Handles a message that asks for something; false when it is none of this room's.
    func receive(_ message: ControlMessage, from connection: PeerConnection) -> Bool {
        switch message {
        case .join(let topic): join(topic, connection)
        case .leave(let topic):
            state.withLock { state in
                state.clients[connection.id]?.topics.remove(topic)
                state.clients[connection.id]?.joined[topic] = nil
            }
        case .getDocument(let request, let digest):
            sendDocument(request, connection) { $0.document(digest) }
        case .getRecord(let request, let sha256):
            sendDocument(request, connection) { $0.record(sha256) }
        case .getCellLayer(let request, let topic, let shard):
            sendLayer(topic, shard, request, connection)
        case .request(let request): enqueue(request, connection)
        case .cancel(let request): cancel(request, connection)
        case .damaged(let request): recheck(request, connection)
        default: return false
        }
        return true
    }

    // MARK: Holdings

    private func join(_ topic: Topic, _ connection: PeerConnection) {
        let admitted = state.withLock { state -> Bool in
            guard let count = state.clients[connection.id]?.topics.count,
                count < Limits.topicsPerPeerMax
            else { return false }
            state.clients[connection.id]?.topics.insert(topic)
            return true
        }
        guard admitted else {
            logger.debug("a peer joined too many topics")
            return connection.close()
        }
        pool.submit { [self] poolState in
            guard case .active = poolState else { return }
            tellHoldings(connection)
        }
    }

    /// Tells every peer what changed since it was last told; called once a second.
    func tellHoldings() {
        let connections = state.withLock { $0.clients.values.map(\.connection) }
        for connection in connections { tellHoldings(connection) }
    }

    private func tellHoldings(_ connection: PeerConnection) {
        guard let client = state.withLock({ $0.clients[connection.id] }) else { return }
        for topic in client.topics {
            guard let blob = blob(for: topic, client) else { continue }
            var told = client.joined[topic] ?? Told(blob: blob)
            let changes = blob.changes
            let isServing = isServing
            guard told.changes != changes || told.isServing != isServing else { continue }
            told.changes = changes
            // What is kept is of no use to others while it is not given.
            if told.isServing != isServing { told.pledgeChanges = nil }
            told.isServing = isServing
            var news: [ControlMessage.ShardHolding] = []
            let held = isServing ? Set(blob.heldShards()) : []
            for shard in held.union(told.shards.keys).sorted() {
                let cells =
                    isServing
                    ? blob.holdings(of: shard)
                    : CellBitmap(cellCount: blob.geometry.cellCount(of: shard))
                guard told.shards[shard] != cells else { continue }
                told.shards[shard] = cells
                news.append(
                    .init(shard: shard, cells: cells.isComplete ? nil : cells.bytes))
            }
            let isCurrent = state.withLock { state -> Bool in
                guard state.clients[connection.id]?.topics.contains(topic) == true else {
                    return false
                }
                state.clients[connection.id]?.joined[topic] = told
                return true
            }
            guard isCurrent else { continue }
            // 400 shards with a bitmap of 96 bytes each stay under a control message's limit.
            for start in stride(from: 0, to: news.count, by: 400) {
                connection.send(
                    .holdings(topic, Array(news[start..<min(start + 400, news.count)])))
            }
        }
        tellPledges(connection)
    }

    // MARK: Documents and layers

    /// Answers with what `find` gives, or refuses.
    private func sendDocument(
        _ request: UInt32, _ connection: PeerConnection,
        find: @escaping @Sendable (ShardServer) -> [UInt8]?
    ) {
        pool.submit { [self] poolState in
            guard case .active = poolState else { return }
            guard let document = find(self), !document.isEmpty else {
                return connection.send(.refuse(request: request, .unknown))
            }
            guard admitDocument(document.count, connection) else {
                return connection.send(.refuse(request: request, .busy))
            }
            for start in stride(
                from: 0, to: document.count, by: Limits.documentChunkBytesMax)
            {
                let end = min(start + Limits.documentChunkBytesMax, document.count)
                let header = DocumentHeader(
                    request: request, total: document.count, offset: start)
                connection.send(FrameEncoder.document(header, chunk: document[start..<end])) {
                    [self] in settleDocument(end - start, connection)
                }
            }
        }
    }

    /// Whether a document may be sent: a peer that asks for many and reads none of them must not
    /// fill this node's memory.
    ///
    /// One is always allowed, however large it is.
    private func admitDocument(_ bytes: Int, _ connection: PeerConnection) -> Bool {
        let now = MonotonicClock.now
        return state.withLock { state in
            guard let waiting = state.clients[connection.id]?.documentBytes,
                waiting == 0 || waiting + bytes <= Limits.requestedBytesPerPeerMax
            else { return false }
            state.clients[connection.id]?.documentBytes += bytes
            state.uploads.charge(bytes, now: now)
            return true
        }
    }

    private func settleDocument(_ bytes: Int, _ connection: PeerConnection) {
        state.withLock { $0.clients[connection.id]?.documentBytes -= bytes }
    }

    /// A sealed descriptor or manifest or a catalogue's log that is here; nil where there is none.
    private func document(_ digest: Digest) -> [UInt8]? {
        do throws(PetalsError) {
            if let blob = store.blob(digest) { return blob.sealedDescriptor }
            if let log = catalogueLog(digest) ?? nil { return log }
            return try store.registry.readManifest(digest)
        } catch {
            logger.warning("a document could not be read: \(error.message)")
            return nil
        }
    }

    /// The record of a public file that this node may read; nil where it knows none.
    private func record(_ sha256: Digest) -> [UInt8]? {
        guard let bytes = records.record(of: sha256)?.serialized(),
            bytes.count <= Limits.recordBytesMax
        else { return nil }
        return bytes
    }

    private func sendLayer(
        _ topic: Topic, _ shard: ShardIndex, _ request: UInt32, _ connection: PeerConnection
    ) {
        // Not on the pool: the leaves that need it follow, and must not overtake it.
        guard isServing, let blob = joinedBlob(topic, connection), blob.geometry.contains(shard),
            let layer = blob.layer(of: shard)
        else { return connection.send(.refuse(request: request, .unknown)) }
        let bytes = layer.cellHashes.count * Digest.byteCount
        guard admitDocument(bytes, connection) else {
            return connection.send(.refuse(request: request, .busy))
        }
        let header = CellLayerHeader(request: request, cellCount: layer.cellHashes.count)
        connection.send(FrameEncoder.cellLayer(header, hashes: layer.cellHashes)) { [self] in
            settleDocument(bytes, connection)
        }
    }

    func joinedBlob(_ topic: Topic, _ connection: PeerConnection) -> StoredBlob? {
        guard let client = state.withLock({ $0.clients[connection.id] }),
            client.topics.contains(topic)
        else { return nil }
        return blob(for: topic, client)
    }

    /// The blob behind a topic of a client.
    ///
    /// Once found it stays, though the topic's day passes: the client joined in time and need not
    /// join again.
    private func blob(for topic: Topic, _ client: Client) -> StoredBlob? {
        if let blob = client.joined[topic]?.blob, topics.contains(blob.id) { return blob }
        return topics.blob(for: topic)
    }
}
