internal import DequeModule
package import PetalsCore

/// Decides which leaves to ask of whom.
///
/// A value machine (docs/ARCHITECTURE.md, "A read"): events go in, `advance` gives the actions, and
/// the shell around it (`FetchEngine`) carries them out. It reads no clock, opens no socket and
/// holds no bytes, so whole swarms run through it in virtual time.
///
/// The unit of work is a *job*: leaves of one cell that are wanted. A job is served
///
/// 1. directly, by the holder of its cell that is expected to finish first, or
/// 2. when nobody holds the cell any more, by *repair*: the same leaves of any k other cells of its
///    row, got by jobs of their own or found here, give it back.
///
/// A request that takes much longer than its peer usually does no longer counts: the job looks for
/// another way (a hedge, within a budget) while the answer may still come.
package struct FetchScheduler {
    // MARK: Vocabulary

    /// Names a blob inside one engine.
    package struct BlobHandle: Hashable, Sendable {
        package let rawValue: Int

        package init(_ rawValue: Int) {
            self.rawValue = rawValue
        }
    }

    /// A cell of one of the blobs.
    package struct CellKey: Hashable, Sendable {
        package let blob: BlobHandle
        package let address: CellAddress

        package init(blob: BlobHandle, address: CellAddress) {
            self.blob = blob
            self.address = address
        }
    }

    /// A shard of one of the blobs.
    package struct ShardKey: Hashable, Sendable {
        package let blob: BlobHandle
        package let shard: ShardIndex
    }

    /// How much somebody wants leaves.
    package enum Urgency: Hashable, Comparable, Sendable {
        /// Read-ahead, prefetch, hold, repair: nobody waits.
        case bulk
        /// A read waits.
        case demand
    }

    package typealias Peer = PeerConnection.ID

    /// What the shell is to do.
    package enum Action: Hashable, Sendable {
        /// Ask a peer for leaves.
        case request(UInt32, Peer, CellKey, leaves: Range<Int>, bulk: Bool)
        /// Ask a peer for a shard's cell layer.
        case requestLayer(UInt32, Peer, ShardKey)
        /// Tell a peer that an answer is not needed any more.
        case cancel(UInt32, Peer)
        /// Rebuild leaves of a cell from those of k other columns of its row, which are here.
        case rebuild(CellKey, LeafSet, columns: [Int])
    }

    // MARK: State

    struct Request {
        let peer: Peer
        let key: CellKey
        /// What is still to come of it.
        var leaves: LeafSet
        let sentAt: Instant
        /// When the peer should have answered.
        let expectedBy: Instant
        let bulk: Bool
        /// Given up on: its leaves were asked elsewhere, though the answer would be welcome.
        var late = false
    }

    struct Job {
        var missing = LeafSet.none
        /// What somebody other than a repair wants.
        var wanted = LeafSet.none
        var urgency = Urgency.bulk
        var requests: [UInt32] = []
        /// Leaves that the shell is rebuilding at the moment.
        var rebuilding = LeafSet.none
        /// Cells of the row whose repair waits for this one.
        var dependents: Set<CellKey> = []
        /// Peers not to ask for this cell until some time.
        var excluded: [Peer: Instant] = [:]
        var queued = false
    }

    /// Where a shard's cell layer stands.
    enum Layer {
        case known
        case asked(request: UInt32, Peer, Instant)
        case refused(by: Set<Peer>)
    }

    /// Extra bytes that hedges may cost: a share of what was delivered, and a start.
    static let hedgeShare = 0.05
    static let hedgeBytesStart = 1 << 20
    /// Bulk bytes under way from all peers together.
    static let bulkBytesMax = 32 << 20
    /// How long a cell layer may take before another peer is asked.
    static let layerSecondsMax: Instant = 1

    var geometries: [BlobHandle: BlobGeometry] = [:]
    var holders: [ShardKey: [Peer: CellBitmap]] = [:]
    var layers: [ShardKey: Layer] = [:]
    var peers: [Peer: PeerModel] = [:]
    var jobs: [CellKey: Job] = [:]
    var requests: [UInt32: Request] = [:]
    var layerRequests: [UInt32: (peer: Peer, key: ShardKey)] = [:]
    var demandQueue: Deque<CellKey> = []
    var bulkQueue: Deque<CellKey> = []
    /// Jobs that nobody can serve at the moment; looked at again when anything changes.
    var stuck: Set<CellKey> = []
    var nextRequest: UInt32 = 1
    var bulkBytes = 0
    var deliveredBytes = 0
    var hedgedBytes = 0
    var pendingActions: [Action] = []

    package init() {}

    // MARK: What is wanted

    /// Makes a blob known.
    package mutating func add(_ blob: BlobHandle, geometry: BlobGeometry) {
        geometries[blob] = geometry
    }

    /// Wants leaves of a cell that are not here.
    ///
    /// Wanting again what is wanted costs nothing; more urgent replaces less urgent.
    package mutating func want(_ key: CellKey, leaves: LeafSet, urgency: Urgency) {
        guard !leaves.isEmpty, geometries[key.blob] != nil else { return }
        var job = jobs[key] ?? Job()
        job.wanted = job.wanted.union(leaves)
        job.missing = job.missing.union(leaves)
        let raised = urgency > job.urgency
        job.urgency = max(job.urgency, urgency)
        // A raised job gets a second entry, in the other queue; the stale one finds nothing to do.
        if raised { job.queued = false }
        jobs[key] = job
        enqueue(key)
    }

    /// Forgets a bulk job that has not been asked of anybody yet, as when a reader turned away.
    package mutating func unwantBulk(_ key: CellKey) {
        guard let job = jobs[key], job.urgency == .bulk, job.requests.isEmpty,
            job.dependents.isEmpty, job.rebuilding.isEmpty
        else { return }
        forget(key)
    }

    /// Forgets everything of a blob; answers under way will be ignored.
    package mutating func remove(_ blob: BlobHandle) {
        for (key, job) in jobs where key.blob == blob {
            for request in job.requests { drop(request: request, cancel: true) }
            forget(key)
        }
        geometries[blob] = nil
        holders = holders.filter { $0.key.blob != blob }
        layers = layers.filter { $0.key.blob != blob }
    }

    // MARK: What came

    /// The key and the leaves that a request asked for; nil when it is not (any more) expected.
    package func expectation(_ request: UInt32, from peer: Peer) -> (key: CellKey, leaves: LeafSet)?
    {
        guard let found = requests[request], found.peer == peer else { return nil }
        return (found.key, found.leaves)
    }

    /// The shard that a layer request asked for; nil when it is not expected.
    package func layerExpectation(_ request: UInt32, from peer: Peer) -> ShardKey? {
        guard let found = layerRequests[request], found.peer == peer else { return nil }
        return found.key
    }

    /// Leaves came and were verified.
    package mutating func arrived(_ request: UInt32, leaves: LeafSet, now: Instant) {
        guard var found = requests[request] else { return }
        let bytes = leaves.count * Limits.leafBytes
        deliveredBytes += bytes
        peers[found.peer]?.delivered(bytes, sentAt: found.sentAt, now: now)
        if found.bulk { bulkBytes -= bytes }
        found.leaves = found.leaves.subtracting(leaves)
        requests[request] = found
        if found.leaves.isEmpty { drop(request: request, cancel: false) }
        got(found.key, leaves)
    }

    /// Leaves of a cell are here now, from wherever.
    package mutating func got(_ key: CellKey, _ leaves: LeafSet) {
        guard var job = jobs[key] else { return }
        job.missing = job.missing.subtracting(leaves)
        job.rebuilding = job.rebuilding.subtracting(leaves)
        jobs[key] = job
        for dependent in job.dependents { requeue(dependent) }
        guard job.missing.isEmpty else { return }
        for request in job.requests { drop(request: request, cancel: true) }
        forget(key)
    }

    /// A rebuild came to nothing: its columns were gone or did not fit the tree.
    package mutating func rebuildFailed(_ key: CellKey, _ leaves: LeafSet) {
        jobs[key]?.rebuilding.mask &= ~leaves.mask
        stuck.insert(key)
    }

    /// A shard's cell layer is known, from wherever.
    package mutating func layerArrived(_ key: ShardKey) {
        if case .asked(let request, _, _) = layers[key] { layerRequests[request] = nil }
        layers[key] = .known
        retryStuck()
    }

    /// A peer refused something, or sent what could not be used.
    package mutating func refused(
        _ request: UInt32, by peer: Peer, reason: ControlMessage.Refusal, now: Instant
    ) {
        if let (asked, key) = layerRequests[request], asked == peer {
            layerRequests[request] = nil
            noteLayerRefusal(key, by: peer)
            return
        }
        guard let found = requests[request], found.peer == peer else { return }
        drop(request: request, cancel: false)
        switch reason {
        case .busy, .unspecified:
            jobs[found.key]?.excluded[peer] = now + 0.5
        case .unknown, .notHeld, .badRequest, .broken:
            let shard = ShardKey(blob: found.key.blob, shard: found.key.address.shard)
            holders[shard]?[peer]?.remove(found.key.address.cell)
            jobs[found.key]?.excluded[peer] = now + 5
        }
        requeue(found.key)
    }

    func isRebuilding(_ key: CellKey) -> Bool { !(jobs[key]?.rebuilding.isEmpty ?? true) }

    /// Whether anything is wanted.
    package var isIdle: Bool { jobs.isEmpty }

    /// Jobs that nobody can serve at the moment, for the log line of a stall.
    package var stuckKeys: Set<CellKey> { stuck }

    /// Jobs that are not finished.
    package var jobCount: Int { jobs.count }
}
