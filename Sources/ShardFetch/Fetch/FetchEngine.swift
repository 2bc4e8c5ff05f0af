internal import Logging
internal import NIOPosix
internal import PetalsCodec
internal import PetalsCore
package import PetalsStore
internal import Synchronization

/// Carries out what `FetchScheduler` decides: the only place where its actions meet sockets, the
/// disk and readers.
///
/// The walk of an answer: event loop (frame) -> worker pool (check against the tree, hand to the
/// waiting reads, keep in memory, write to disk) -> scheduler (account, decide) -> event loop (next
/// requests). The lock around the scheduler is held for decisions only, never across I/O.
package final class FetchEngine: Sendable {
    struct State {
        var scheduler: FetchScheduler
        var sessions: [FetchScheduler.BlobHandle: BlobSession] = [:]
        var handles: [BlobID: FetchScheduler.BlobHandle] = [:]
        var connections: [PeerConnection.ID: PeerConnection] = [:]
        /// Topics joined on each connection, oldest first, and the blob behind each.
        var joined: [PeerConnection.ID: [(topic: Topic, blob: FetchScheduler.BlobHandle)]] = [:]
        var tickets: [FetchScheduler.CellKey: [ReadTicket]] = [:]
        var nextHandle = 1
        var ticking = false
        /// What requests pay that do not pay the usual price; more than can be under way.
        var prices = RecentRequests<Int>(most: 1 << 14)
        /// What was decided and not carried out yet, in the order of the decisions.
        var outbox: [Work] = []
    }

    let state: UnfairLock<State>
    /// Held while the outbox is emptied, so that each peer hears things in the order in which they
    /// were decided: a layer is asked for before the leaves that need it, and a request before it
    /// is cancelled.
    private let sending = Mutex(())
    let hot: HotCells
    let readAhead: ReadAheadShare
    let demand = DemandGauge()
    let pool: NIOThreadPool
    let logger: Logger
    let today: @Sendable () -> UInt32
    let credit: CreditKeeper
    /// Told about a peer that lied; closes its connections and remembers it.
    let blame: @Sendable (PeerConnection, String) -> Void
    /// When it was last said that reading goes on without the cache.
    private let writeFailureLogged = Mutex<Instant?>(nil)

    package let metrics = FetchMetrics()
    /// Told what peers say that they hold, for a donor; called on event loops.
    let watcher = Callback<HoldingsEvent, Void>()

    init(
        pool: NIOThreadPool, logger: Logger, memory: MemoryBudget = .standard,
        today: @escaping @Sendable () -> UInt32 = { UTCDay.today }, credit: CreditKeeper,
        blame: @escaping @Sendable (PeerConnection, String) -> Void
    ) {
        self.pool = pool
        self.logger = logger
        self.today = today
        self.credit = credit
        self.blame = blame
        state = UnfairLock(State(scheduler: FetchScheduler(bulkBytesMax: memory.underWayBytes)))
        hot = HotCells(bytesMax: memory.hotBytes)
        readAhead = ReadAheadShare(bytesMax: memory.readAheadBytes)
    }

    // MARK: Blobs

    /// The session of a blob, made when there is none yet; its topic is then joined everywhere.
    package func session(for stored: StoredBlob) -> BlobSession {
        let (session, isNew) = state.withLock { state -> (BlobSession, Bool) in
            if let handle = state.handles[stored.id], let session = state.sessions[handle] {
                return (session, false)
            }
            let handle = FetchScheduler.BlobHandle(state.nextHandle)
            state.nextHandle += 1
            let session = BlobSession(stored: stored, handle: handle)
            state.sessions[handle] = session
            state.handles[stored.id] = handle
            state.scheduler.add(handle, geometry: stored.descriptor.geometry)
            return (session, true)
        }
        if isNew {
            for shard in stored.heldShards() where stored.layer(of: shard) != nil {
                state.withLock { $0.scheduler.layerArrived(session.key(shard)) }
            }
            joinEverywhere(session)
        }
        return session
    }

    /// Forgets a blob: reads that wait for it fail, and its topic is left everywhere, so that peers
    /// tell all that they hold when it comes back.
    package func close(_ session: BlobSession) {
        let (tickets, left) = state.withLock { state in
            state.scheduler.remove(session.handle)
            state.sessions[session.handle] = nil
            state.handles[session.id] = nil
            let gone = state.tickets.filter { $0.key.blob == session.handle }
            for key in gone.keys { state.tickets[key] = nil }
            return (gone.values.flatMap { $0 }, state.leave(session.handle))
        }
        for ticket in tickets { ticket.fail(Self.removedError) }
        for (connection, topic) in left { connection.send(.leave(topic)) }
    }

    private static var removedError: PetalsError {
        PetalsError(.notFound, "the model was removed while it was read; add it again to read it")
    }

    // MARK: Wanting

    /// Verified leaves of a cell that are in this node already; nil unless all of them are.
    func present(_ session: BlobSession, _ address: CellAddress, _ leaves: LeafSet)
        throws(PetalsError) -> [VerifiedLeaves]?
    {
        let parts = hot.parts(session.key(address))
        var rest = leaves
        var found: [VerifiedLeaves] = []
        for part in parts where !LeafSet(part.leaves).intersection(rest).isEmpty {
            found.append(part)
            rest = rest.subtracting(LeafSet(part.leaves))
        }
        guard session.stored.present(address).isSuperset(of: rest) else { return nil }
        for run in rest.runs {
            guard let part = try session.stored.read(address, leaves: run) else { return nil }
            found.append(part)
        }
        return found
    }

    /// Whether leaves of a cell are believed to be in this node; reads nothing.
    func isPresent(_ session: BlobSession, _ address: CellAddress, _ leaves: LeafSet) -> Bool {
        session.stored.present(address).isSuperset(of: leaves)
            || hot.present(session.key(address)).union(session.stored.present(address))
                .isSuperset(of: leaves)
    }

    /// Wants leaves for a reader that will wait on the ticket.
    func want(_ missing: [FetchScheduler.CellKey: LeafSet], ticket: ReadTicket) {
        let isOpen = state.withLock { state in
            guard missing.keys.allSatisfy({ state.sessions[$0.blob] != nil }) else { return false }
            for key in missing.keys { state.tickets[key, default: []].append(ticket) }
            return true
        }
        guard isOpen else { return ticket.fail(Self.removedError) }
        // What came between the reader's look and the line above was handed to nobody; `deliver`
        // puts leaves into memory before it looks for tickets, so that they are found here.
        for key in missing.keys {
            for part in hot.parts(key) { _ = ticket.deliver(part, of: key) }
        }
        var count = 0
        perform { state in
            // Looked at here, where no fetch can end meanwhile: what has come since is not asked
            // for again.
            let rest = ticket.missing
            count = rest.count
            for (key, leaves) in rest {
                state.scheduler.want(key, leaves: leaves, urgency: .demand)
            }
        }
        metrics.demandCells.wrappingAdd(count, ordering: .relaxed)
    }

    /// Takes a ticket off the lists of whoever waits.
    ///
    /// The fetch itself goes on: a reader that was interrupted usually comes back.
    func abandon(_ ticket: ReadTicket) {
        state.withLock { state in
            // Of all its cells: it may be on the list of one that it has, if that came from memory.
            for key in ticket.cells {
                state.tickets[key]?.removeAll { $0 === ticket }
                if state.tickets[key]?.isEmpty == true { state.tickets[key] = nil }
            }
        }
    }

    /// Wants whole cells that nobody waits for.
    func wantBulk(_ session: BlobSession, _ addresses: [CellAddress]) {
        func missing(_ address: CellAddress) -> LeafSet {
            LeafSet(first: session.geometry.leafCount(address))
                .subtracting(session.stored.present(address))
                .subtracting(hot.present(session.key(address)))
        }
        let absent = addresses.filter { !missing($0).isEmpty }
        guard !absent.isEmpty else { return }
        perform { state in
            // Looked at again here, where no fetch can end meanwhile: what has come since is not
            // asked for again.
            for address in absent {
                let key = session.key(address)
                state.scheduler.want(key, leaves: missing(address), urgency: .bulk)
            }
        }
    }

    /// Forgets cells that were wanted for a reader who has turned away, as far as nobody was asked
    /// for them yet.
    func unwantBulk(_ session: BlobSession, _ addresses: [CellAddress]) {
        state.withLock { state in
            for address in addresses { state.scheduler.unwantBulk(session.key(address)) }
        }
    }

    /// Lets go of a cell that was read whole: what is on the disk need not stay in memory.
    func release(_ session: BlobSession, _ address: CellAddress) {
        let all = LeafSet(first: session.geometry.leafCount(address))
        // While it is being written it is nowhere else.
        guard session.stored.present(address).isSuperset(of: all) else { return }
        hot.remove(session.key(address))
    }

    /// Bytes asked of peers that have not come yet.
    var bytesUnderWay: Int { state.withLock { $0.scheduler.outstandingBytes } }

    // MARK: Deciding and doing

    /// Tells the scheduler something and carries out what it says then.
    func perform(_ event: (inout State) -> Void) {
        let now = MonotonicClock.now
        let (hasWork, startTicking) = state.withLock { state -> (Bool, Bool) in
            event(&state)
            let sessions = state.sessions
            let actions = state.scheduler.advance(now: now) { [hot] key in
                guard let session = sessions[key.blob] else { return .none }
                return hot.present(key).union(session.stored.present(key.address))
            }
            let startTicking = !state.ticking && !state.scheduler.isIdle
            if startTicking { state.ticking = true }
            for action in actions {
                if let work = work(for: action, in: &state) { state.outbox.append(work) }
            }
            return (!state.outbox.isEmpty, startTicking)
        }
        if hasWork { carryOut() }
        if startTicking { keepTicking() }
    }

    /// An action with what it needs to be carried out outside of the lock.
    enum Work {
        case send(PeerConnection, ControlMessage)
        case rebuild(BlobSession, CellAddress, columns: [Int])
    }

    private func work(for action: FetchScheduler.Action, in state: inout State) -> Work? {
        let joined = state.joined
        func topic(_ peer: PeerConnection.ID, _ blob: FetchScheduler.BlobHandle) -> Topic? {
            joined[peer]?.first { $0.blob == blob }?.topic
        }
        switch action {
        case .request(let id, let peer, let key, let leaves, let bulk):
            guard let connection = state.connections[peer], let topic = topic(peer, key.blob)
            else { return nil }
            let price = price(of: key, bulk: bulk, at: connection, in: state)
            if let price { state.prices.note(price, of: id) }
            return .send(
                connection,
                .request(
                    .init(
                        request: id, topic: topic, address: key.address, leaves: leaves,
                        bulk: bulk, price: price)))
        case .requestLayer(let id, let peer, let key):
            guard let connection = state.connections[peer], let topic = topic(peer, key.blob)
            else { return nil }
            return .send(connection, .getCellLayer(request: id, topic: topic, shard: key.shard))
        case .cancel(let id, let peer):
            return state.connections[peer].map { .send($0, .cancel(request: id)) }
        case .rebuild(let key, _, let columns):
            return state.sessions[key.blob].map {
                .rebuild($0, key.address, columns: columns)
            }
        }
    }

    /// Sends what goes to one peer with one flush, in order, and starts repairs.
    private func carryOut() {
        sending.withLock { _ in
            let work = state.withLock { state in
                defer { state.outbox = [] }
                return state.outbox
            }
            carryOut(work)
        }
    }

    private func carryOut(_ work: [Work]) {
        var messages: [PeerConnection.ID: (connection: PeerConnection, list: [ControlMessage])] =
            [:]
        for item in work {
            switch item {
            case .send(let connection, let message):
                messages[connection.id, default: (connection, [])].list.append(message)
            case .rebuild(let session, let address, let columns):
                pool.submit { [self] poolState in
                    guard case .active = poolState else { return }
                    rebuild(session, address, columns: columns)
                }
            }
        }
        for (connection, list) in messages.values { connection.send(list) }
    }

    /// Looks at the clock twenty times a second for as long as anything is wanted.
    private func keepTicking() {
        Task { [weak self] in
            while let self {
                // A task that is cancelled has nothing more to look after.
                guard (try? await Task.sleep(for: .milliseconds(50))) != nil else { return }
                let goOn = state.withLock { state -> Bool in
                    state.ticking = !state.scheduler.isIdle
                    return state.ticking
                }
                guard goOn else { return }
                rejoinWaiting()
                perform { $0.scheduler.tick(now: MonotonicClock.now) }
            }
        }
    }

    // MARK: Having

    /// Hands verified leaves to all who want them, keeps them, and tells the scheduler.
    ///
    /// - Parameter event: what the scheduler is told before it hears that the leaves are here.
    func deliver(
        _ leaves: VerifiedLeaves, session: BlobSession,
        telling event: (inout State) -> Void = { _ in }
    ) {
        let key = session.key(leaves.address)
        hot.insert(leaves, blob: session.handle)
        handOver(leaves, key)
        if mayKeep(key, session) { keep(leaves, session: session) }
        perform { state in
            event(&state)
            // It may be off the books already: its peer left while the leaves were checked.
            state.scheduler.got(key, LeafSet(leaves.leaves))
        }
        // Again, as nothing will be fetched for whoever came before the line above: he did not find
        // the leaves in memory if they were evicted from there.
        handOver(leaves, key)
    }

    /// Gives leaves to the readers that wait for them.
    private func handOver(_ leaves: VerifiedLeaves, _ key: FetchScheduler.CellKey) {
        let tickets = state.withLock { $0.tickets[key] ?? [] }
        var finished: [ReadTicket] = []
        for ticket in tickets where ticket.deliver(leaves, of: key) { finished.append(ticket) }
        guard !finished.isEmpty else { return }
        state.withLock { state in
            state.tickets[key]?.removeAll { ticket in finished.contains { $0 === ticket } }
            if state.tickets[key]?.isEmpty == true { state.tickets[key] = nil }
        }
    }

    private func keep(_ leaves: VerifiedLeaves, session: BlobSession) {
        do throws(PetalsError) {
            try session.stored.write(leaves)
            session.writeFailure.withLock { $0 = nil }
        } catch {
            session.writeFailure.withLock { $0 = error }
            // The reads have their bytes; only the cache goes without. One line a minute.
            let now = MonotonicClock.now
            let isNews = writeFailureLogged.withLock { last -> Bool in
                if let last, now - last < 60 { return false }
                last = now
                return true
            }
            if isNews {
                logger.warning("reading goes on without the cache: \(error.message)")
            }
        }
    }
}
