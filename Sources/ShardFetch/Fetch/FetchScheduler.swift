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
/// 2. when nobody holds the cell any more, or only somebody much slower or whose line is full, by
///    *repair*: the same leaves of any k other cells of its row, got by jobs of their own or found
///    here, give it back. A read that waits has a column more asked for than it needs, and takes
///    the first k.
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

    /// A connection that can be asked.
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
        /// Whether jobs of its row are, or were, to help it.
        var hasHelpers = false
        /// Whether the rest of its row was asked because its own lines are full.
        var isRelieved = false
        /// When a rebuild that failed may be tried again.
        var rebuildAfter: Instant = 0
        var queued = false
    }

    /// Where a shard's cell layer stands.
    enum Layer {
        case known
        case asked(request: UInt32, Peer, Instant)
    }

    /// Extra bytes that hedges may cost: a share of what was delivered, and a start.
    static let hedgeShare = 0.05
    static let hedgeBytesStart = 1 << 20
    /// What hedges may have cost so far.
    var hedgeBytesMax: Int { Self.hedgeBytesStart + Int(Self.hedgeShare * Double(deliveredBytes)) }
    /// A holder that is expected to take longer than this, and so many times longer than the rest
    /// of a row, is gone round by repair.
    static let slowSeconds: Instant = 0.1
    static let slowFactor: Instant = 4
    /// How many cells that nobody waits for, and whose holders have no room, are looked at for a
    /// way round; those that follow are passed over in search of one whose holder has.
    static let lookAhead = 16
    /// A line that a cell keeps busy for longer than this is worth relieving by decoding: some
    /// twenty times what rebuilding a cell costs.
    static let reliefSeconds: Instant = 0.009
    /// Bytes a second of all peers together, from which on no line is relieved.
    static let reliefRateMax: Double = 300e6
    /// A peer that has room is asked unless another one, which has none, is expected to answer so
    /// many times sooner.
    static let waitFactor: Instant = 2
    /// How long a cell layer may take before another peer is asked.
    static let layerSecondsMax: Instant = 1
    /// How long a peer is not asked again for what it refused, or was late with.
    static let avoidSeconds: Instant = 5
    /// The same for a peer that was only busy.
    static let busySeconds: Instant = 0.5
    /// Pause before a rebuild that failed is tried again: a blob with false parity fails every
    /// time.
    static let rebuildPause: Instant = 1
    /// How long an answer may be owed by a peer that answers nothing at all.
    static let requestSecondsMax: Instant = 30

    var geometries: [BlobHandle: BlobGeometry] = [:]
    var holders: [ShardKey: [Peer: CellBitmap]] = [:]
    var layers: [ShardKey: Layer] = [:]
    /// Peers not to ask for a cell until some time.
    ///
    /// Apart from the jobs: helpers of a repair come and go, and a peer that refuses would be asked
    /// again each time.
    var avoided: [CellKey: [Peer: Instant]] = [:]
    /// Peers not to ask for a shard's layer until some time.
    var layerAvoided: [ShardKey: [Peer: Instant]] = [:]
    var peers: [Peer: PeerModel] = [:]
    var jobs: [CellKey: Job] = [:]
    var requests: [UInt32: Request] = [:]
    /// Requests that were cancelled lately; more than are under way and late at one moment.
    var cancelled = RecentRequests<Request>(most: 1024)
    var layerRequests: [UInt32: (peer: Peer, key: ShardKey)] = [:]
    var demandQueue: Deque<CellKey> = []
    var bulkQueue: Deque<CellKey> = []
    /// Jobs that nobody can serve at the moment; looked at again when anything changes.
    var stuck: Set<CellKey> = []
    /// When those of them that nobody waits for were last looked at because of the time.
    var bulkRetriedAt: Instant = 0
    var nextRequest: UInt32 = 1
    var bulkBytes = 0
    var deliveredBytes = 0
    var hedgedBytes = 0
    var pendingActions: [Action] = []

    /// Bulk bytes under way from all peers together.
    private(set) var bulkBytesMax: Int

    /// Makes a scheduler that wants nothing yet.
    package init(bulkBytesMax: Int = MemoryBudget.standard.underWayBytes) {
        self.bulkBytesMax = bulkBytesMax
    }

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
        for (request, found) in requests where found.key.blob == blob {
            drop(request: request, cancel: true)
        }
        for key in jobs.keys where key.blob == blob { forget(key) }
        layerRequests = layerRequests.filter { $0.value.key.blob != blob }
        avoided = avoided.filter { $0.key.blob != blob }
        layerAvoided = layerAvoided.filter { $0.key.blob != blob }
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

    /// Leaves came and were verified; what comes twice counts once.
    ///
    /// - Returns: how many leaves of the request had not come before, for which their sender is
    ///   owed.
    @discardableResult
    package mutating func arrived(
        _ request: UInt32, leaves came: LeafSet, now: Instant
    ) -> Int {
        guard var found = requests[request] else { return 0 }
        let leaves = came.intersection(found.leaves)
        guard !leaves.isEmpty else { return 0 }
        let bytes = leaves.count * Limits.leafBytes
        deliveredBytes += bytes
        peers[found.peer]?.delivered(bytes, sentAt: found.sentAt, now: now)
        if found.bulk { bulkBytes -= bytes }
        found.leaves = found.leaves.subtracting(leaves)
        requests[request] = found
        if found.leaves.isEmpty { drop(request: request, cancel: false) }
        got(found.key, leaves)
        return leaves.count
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
    package mutating func rebuildFailed(_ key: CellKey, _ leaves: LeafSet, now: Instant) {
        guard jobs[key] != nil else { return }
        jobs[key]?.rebuilding.mask &= ~leaves.mask
        jobs[key]?.rebuildAfter = now + Self.rebuildPause
        requeue(key)
    }

    /// A shard's cell layer is known, from wherever.
    package mutating func layerArrived(_ key: ShardKey) {
        // Of whomever it was asked: what the others send is not needed any more.
        layerRequests = layerRequests.filter { $0.value.key != key }
        layerAvoided[key] = nil
        layers[key] = .known
        retryStuck()
    }

    /// A peer refused something, or sent what could not be used.
    package mutating func refused(
        _ request: UInt32, by peer: Peer, reason: ControlMessage.Refusal, now: Instant
    ) {
        if let (asked, key) = layerRequests[request], asked == peer {
            layerRequests[request] = nil
            avoidLayer(key, of: peer, now: now)
            return
        }
        guard let found = requests[request], found.peer == peer else { return }
        drop(request: request, cancel: false)
        // What the peer said that it holds stays as it said: it tells us what it lost for good, and
        // what it could not read in this moment it may read in the next.
        switch reason {
        case .busy where found.bulk:
            // Others have it sooner, or wait for it themselves (`FreshRows`): there is time.
            avoided[found.key, default: [:]][peer] = now + Self.avoidSeconds
        case .busy, .unspecified:
            avoided[found.key, default: [:]][peer] = now + Self.busySeconds
        case .unknown, .notHeld, .badRequest, .broken:
            peers[peer]?.brokeClaim()
            avoided[found.key, default: [:]][peer] = now + Self.avoidSeconds
        }
        askAgain(found.key)
    }

    /// Whether anything of a blob is wanted.
    ///
    /// - Complexity: O(jobs).
    func wantsAny(of blob: BlobHandle) -> Bool { jobs.keys.contains { $0.blob == blob } }

    /// Whether anything is wanted.
    package var isIdle: Bool { jobs.isEmpty }

    /// Jobs that nobody can serve at the moment, for the log line of a stall.
    package var stuckKeys: Set<CellKey> { stuck }

    /// Bytes that peers were asked for and have not given yet.
    package var outstandingBytes: Int { peers.values.reduce(0) { $0 + $1.outstandingBytes } }

    /// Jobs that are not finished.
    package var jobCount: Int { jobs.count }
}
