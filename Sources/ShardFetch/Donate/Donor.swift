internal import Logging
internal import NIOPosix
internal import PetalsCodec
package import PetalsCore
internal import PetalsStore
internal import Synchronization

/// Carries out what a `DonationPlan` decides: checks peers, gets shards, drops them.
///
/// The mark that a shard is held comes before its first cell, and goes after its last: what a crash
/// leaves is known to be a donation, and is got on with at the next start.
package final class Donor: Sendable {
    struct State {
        var plan: DonationPlan
        var sessions: [DonationPlan.Blob: BlobSession] = [:]
        var handles: [BlobID: DonationPlan.Blob] = [:]
        var connections: [DonationPlan.Peer: [PeerConnection]] = [:]
        /// What is being got.
        var work: [DonationPlan.Shard: Task<Void, Never>] = [:]
        /// What is to be got when something of that is over.
        var waiting: [(shard: DonationPlan.Shard, way: DonationPlan.Way)] = []
        var nextHandle = 0
        /// Blobs in the order in which their topics have their turn.
        var turn = 0
        var turnsAt: Instant = 0
        /// When what is held is looked at again.
        var looksAt: Instant = 0
    }

    /// Shards that are got at a time.
    static let worksMax = 2
    /// Seconds without a byte after which getting a shard is given up for a while.
    static let stallSeconds: Instant = 60
    /// Topics that are joined in turn where there are more than a connection may have.
    static let topicsInTurn = 16
    /// Seconds between two looks at whether what is held is whole.
    static let lookSeconds: Instant = 10

    let state: Mutex<State>
    let auditor: ClaimAuditor
    let node: Node
    /// Seconds between two such turns.
    private let topicTurnSeconds: Instant
    /// Bytes that its owner gives for others, those included that he had held by hand.
    private let donated = Mutex(0)
    private let tasks = Mutex<[Task<Void, Never>]>([])

    /// Bytes that its owner gives for others.
    var givenBytes: Int { donated.withLock { $0 } }
    var store: Store { node.store }
    var logger: Logger { node.logger }

    init(node: Node, rules: DonationPlan.Rules, topicTurnSeconds: Instant) {
        self.node = node
        self.topicTurnSeconds = topicTurnSeconds
        auditor = ClaimAuditor(engine: node.engine)
        state = Mutex(
            State(
                plan: DonationPlan(
                    own: DonationPlan.Peer(node.identity.peerID),
                    secret: UInt64.random(in: 0 ... .max),
                    quota: 0, rules: rules)))
    }

    // MARK: Life

    /// Begins to watch peers and to decide.
    func start() {
        node.engine.watcher.withLock { watcher in
            watcher = { [weak self] event in self?.receive(event) }
        }
        node.credit.demandWatcher.withLock { watcher in
            watcher = { [weak self] blob, shard, bytes in self?.demanded(bytes, of: shard, blob) }
        }
        let loop = Task { [weak self] in
            // Cancelled: the node stops.
            while (try? await Task.sleep(for: .milliseconds(200))) != nil {
                guard let self else { return }
                await step()
            }
        }
        tasks.withLock { $0.append(loop) }
    }

    /// Ends all work; what was got so far stays, and is got on with at the next start.
    package func stop() async {
        node.engine.watcher.withLock { $0 = nil }
        node.credit.demandWatcher.withLock { $0 = nil }
        node.server.donorRoom.withLock { $0 = nil }
        node.router.disconnectDonor()
        let loops = tasks.withLock { tasks in
            defer { tasks = [] }
            return tasks
        }
        for task in loops { task.cancel() }
        for task in loops { await task.value }
        let work = state.withLock { state in
            defer { (state.work, state.waiting) = ([:], []) }
            return Array(state.work.values)
        }
        for task in work { task.cancel() }
        for task in work { await task.value }
    }

    // MARK: What is given, and for what

    /// Sets how much of the disk is given; less takes effect before this returns.
    ///
    /// What a person had this node hold counts first, and stays.
    package func give(_ bytes: Int) async {
        donated.withLock { $0 = bytes }
        await reckon()
    }

    /// Reckons anew what is left beside what a person had this node hold.
    package func reckon() async {
        let chosen: [BlobID: [ShardIndex]]
        do throws(PetalsError) {
            chosen = try store.registry.donations()
        } catch {
            return logger.error("what was donated cannot be read: \(error.message)")
        }
        var byHand = 0
        var kept: [BlobID: [ShardIndex]] = [:]
        let donatedTo = blobs
        for blob in store.allBlobs() {
            // Of a model that is not donated to any more, it counts as if a person wanted it.
            let own = Set(donatedTo.contains(blob.id) ? chosen[blob.id] ?? [] : [])
            let others = blob.keptShards().subtracting(own).sorted()
            kept[blob.id] = others
            byHand += others.filter { blob.shardClass(of: $0) == .held }
                .reduce(0) { $0 + blob.geometry.shardLength($1) }
        }
        let bytes = donated.withLock { $0 }
        store.setHeldLimit(bytes)
        let now = MonotonicClock.now
        state.withLock { state in
            for (id, blob) in state.handles { state.plan.keep(kept[id] ?? [], of: blob, now: now) }
            state.plan.setQuota(bytes - byHand, now: now)
        }
        await step()
    }

    /// Lets shards of a blob be held; what of it was chosen in an earlier run is held already.
    package func add(_ session: BlobSession) {
        let chosen: [ShardIndex]
        do throws(PetalsError) {
            chosen = try store.registry.donations()[session.id] ?? []
        } catch {
            return logger.error("what was donated cannot be read: \(error.message)")
        }
        let stored = session.stored
        let whole = chosen.filter { stored.isWhole($0) }
        let partly = chosen.filter { !stored.isWhole($0) }
        let kept = stored.keptShards().subtracting(chosen).sorted()
        session.isWatched.store(true, ordering: .relaxed)
        let isNew = state.withLock { state -> Bool in
            guard state.handles[session.id] == nil else { return false }
            let blob = DonationPlan.Blob(state.nextHandle)
            state.nextHandle += 1
            state.handles[session.id] = blob
            state.sessions[blob] = session
            state.plan.add(
                blob, id: session.id, geometry: session.geometry, held: whole, partly: partly,
                kept: kept, now: MonotonicClock.now)
            state.waiting += partly.map { (DonationPlan.Shard(blob, $0), .fetch) }
            return true
        }
        guard isNew else { return }
        // What was said of it before it was known here is said again.
        node.engine.rejoin(session)
        startNext()
    }

    /// Forgets a blob that was removed.
    package func remove(_ id: BlobID) {
        state.withLock { state in
            guard let blob = state.handles.removeValue(forKey: id) else { return }
            state.sessions.removeValue(forKey: blob)?.isWatched.store(false, ordering: .relaxed)
            state.waiting.removeAll { $0.shard.blob == blob }
            for (shard, task) in state.work where shard.blob == blob { task.cancel() }
            state.plan.remove(blob, now: MonotonicClock.now)
        }
    }

    /// The blobs of which shards may be held.
    package var blobs: Set<BlobID> { state.withLock { Set($0.handles.keys) } }

    // MARK: Deciding and doing

    /// Has the plan look at what has changed, and does what it says.
    private func step() async {
        takeTurns()
        resumeDamaged()
        let now = MonotonicClock.now
        let actions = state.withLock { state -> [DonationPlan.Action] in
            guard state.plan.wakesAt <= now else { return [] }
            return state.plan.advance(now: now)
        }
        // What goes makes room for what comes.
        for action in actions {
            switch action {
            case .drop(let shard): await drop(shard)
            case .abandon(let shard): await abandon(shard)
            case .audit(let peer, let shard): check(peer, shard)
            case .take: break
            }
        }
        for case .take(let shard, let way) in actions {
            guard let session = session(of: shard) else { continue }
            let isMarked = await onPool { [store] () throws(PetalsError) in
                try store.donate(shard.index, blob: session.id)
            }
            guard isMarked else {
                state.withLock { $0.plan.failed(shard, now: MonotonicClock.now) }
                continue
            }
            state.withLock { $0.waiting.append((shard, way)) }
        }
        if !actions.isEmpty { startNext() }
        let room = state.withLock { $0.plan.room }
        node.server.donorRoom.withLock { $0 = room }
    }

    /// Has the topics joined that wait for a place, some at a time.
    private func takeTurns() {
        let now = MonotonicClock.now
        let turn = state.withLock { state -> [BlobSession] in
            let count = state.sessions.count
            guard count > Limits.topicsPerPeerMax, now >= state.turnsAt else { return [] }
            state.turnsAt = now + topicTurnSeconds
            let all = state.sessions.sorted { $0.key < $1.key }.map(\.value)
            defer { state.turn = (state.turn + Self.topicsInTurn) % count }
            return (0..<Self.topicsInTurn).map { all[(state.turn + $0) % count] }
        }
        for session in turn { node.engine.joinEverywhere(session) }
    }

    /// Gets again what was found damaged of shards that are held.
    private func resumeDamaged() {
        let now = MonotonicClock.now
        let damaged = state.withLock { state -> Int in
            guard now >= state.looksAt else { return 0 }
            state.looksAt = now + Self.lookSeconds
            let damaged = state.plan.held.filter {
                state.sessions[$0.blob]?.stored.isWhole($0.index) == false
                    && state.plan.resumes($0, now: now)
            }
            state.waiting += damaged.map { ($0, .fetch) }
            return damaged.count
        }
        guard damaged > 0 else { return }
        logger.warning("donating: \(damaged) shards are damaged; what is missing is got again")
        startNext()
    }

    private func check(_ peer: DonationPlan.Peer, _ shard: DonationPlan.Shard) {
        let found = state.withLock { ($0.sessions[shard.blob], $0.connections[peer]?.last) }
        let task = Task { [self] in
            var verdict = DonationPlan.Verdict.silent
            if let session = found.0, let connection = found.1 {
                verdict = await auditor.audit(session, shard.index, at: connection)
            }
            if verdict == .refused, let id = found.1?.peerID {
                logger.info("peer \(id.short) does not have shard \(shard.index) that it claims")
                node.credit.noteViolation(by: id)
                if let blob = found.0?.id {
                    node.credit.prices.refuted(id, .init(blob, shard.index))
                }
            }
            let final = verdict
            state.withLock { $0.plan.audited(peer, shard, final, now: MonotonicClock.now) }
        }
        // It ends by itself within seconds; its node outlives it.
        _ = task
    }

    func session(of shard: DonationPlan.Shard) -> BlobSession? {
        state.withLock { $0.sessions[shard.blob] }
    }

    /// Runs blocking work of the store on the worker pool.
    ///
    /// - Returns: whether it succeeded; what went wrong is in the log.
    func onPool(_ body: @escaping @Sendable () throws(PetalsError) -> Void) async -> Bool {
        let logger = logger
        let result = try? await node.engine.pool.runIfActive { () -> Bool in
            do throws(PetalsError) {
                try body()
                return true
            } catch {
                logger.warning("donating: \(error.message)")
                return false
            }
        }
        // Nil: the node is stopping.
        return result ?? false
    }
}
