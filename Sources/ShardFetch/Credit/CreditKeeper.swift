//
// CreditKeeper: the books of credit at work.
//
// `CreditLedger` knows the rules and nothing else; this is its shell. It counts what passes, signs
// and checks receipts, keeps the books on the disk, and says how much may be sent.
//
//   CreditMeter              one connection's counters, without a lock
//   CreditKeeper             the books under their lock, connections, the look at the clock
//   CreditKeeper+Giving      what may be sent; receipts that come
//   CreditKeeper+Receiving   what has come; receipts that go
//   CreditKeeper+Assigning   claims that change hands
//   CreditKeeper+Keeping     what is written, and what has to wait for that
//   CreditPrices             what leaves are worth: who else has a shard, and who paid for it
//   CreditStatus             what `petalsfs credits` shows
//
// The walk of a cell that is sent: the server asks the connection's meter, which has room or not;
// where it has none, the request waits at the front of its queue until a receipt makes some. The
// walk of a leaf that comes: it is checked, counted on the meter, and when a quantum is full the
// sum is entered, signed and sent, with whatever goes to that peer then; or after two seconds.
//
// Books are on the disk before what follows from them leaves this node, where that matters: before
// a number of a receipt is used, and before a claim changes hands. The rest is written when 16 MiB
// have passed, and after five seconds, by a thread of its own that nobody waits for.
//
// Signatures are checked on the worker threads and never on an event loop. Lost on a crash: what
// passed since the books were written, within what signatures bring back when peers meet again.
//
internal import Logging
internal import NIOPosix
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

/// Keeps a node's books of credit.
final class CreditKeeper: Sendable {
    /// What is known of one connection.
    struct Meeting {
        let connection: PeerConnection
        /// What of the meter is in the books.
        var tally: CreditTally
        /// The peer's; nil until it has told them.
        var terms: CreditTerms?
        /// What the peer was told.
        var told: CreditTerms?
        /// Until when an answer of an assignment counts that this node asked for.
        var askedUntil: Instant = 0
        /// How much it asked for, of all who owe it.
        var asked = Mills.zero
        /// When something came last.
        var receivedAt: Instant?
    }

    struct State {
        var ledger: CreditLedger
        var meetings: [PeerConnection.ID: Meeting] = [:]
        var unkept = Unkept()
        /// When an assignment was wished for last.
        var wishedAt: Instant = 0
    }

    let state: Mutex<State>
    let identity: NodeIdentity
    let registry: Registry
    let logger: Logger
    /// For signatures.
    let pool: NIOThreadPool
    /// For the disk: it waits for it, and nobody for that.
    let writer = NIOThreadPool(numberOfThreads: 1)
    /// Seconds since 1970.
    let time: @Sendable () -> Int
    private let contention = Atomic<Bool>(false)
    /// Told when a connection has room again; called on worker threads.
    let whenRoom = Callback<PeerConnection, Void>()
    /// Told what a peer asks for a shard that nobody else has, in mills for 1 KiB; called on event
    /// loops.
    let whenTerms = Callback<(connection: PeerConnection, ask: Int), Void>()
    /// Told of bytes that a peer with funds pays for, for a donor; called once a second.
    let demandWatcher = Callback<(blob: BlobID, shard: ShardIndex, bytes: Int), Void>()
    /// What leaves are worth to this node.
    let prices: CreditPrices
    /// What went and came of each blob since it was written last.
    let blobs = Mutex<[BlobID: CreditBlobRow]>([:])
    /// Bytes that were sold since the last look.
    let sales = Mutex<[Sale: Int]>([:])

    init(
        identity: NodeIdentity, registry: Registry, pool: NIOThreadPool, logger: Logger,
        time: @escaping @Sendable () -> Int
    ) {
        self.identity = identity
        self.registry = registry
        self.pool = pool
        self.logger = logger
        self.time = time
        prices = CreditPrices(time: time)
        state = Mutex(State(ledger: CreditLedger(own: identity.peerID, epoch: 0)))
    }

    /// Takes up the books; before the first connection.
    ///
    /// - Throws: as `Registry.openCredit`. An account that cannot be read is left out, with a line
    ///   in the log.
    func start() throws(PetalsError) {
        writer.start()
        let books = try registry.openCredit(now: time())
        var accounts: [CreditAccount] = []
        for row in books.rows {
            do throws(PetalsError) {
                accounts.append(try CreditAccount(encoded: row.account))
            } catch {
                logger.warning(
                    "the credit of peer \(row.peer.label) cannot be read: \(error.message)")
            }
        }
        let ledger = CreditLedger(
            own: identity.peerID, epoch: books.epoch, accounts: accounts, entries: [])
        state.withLock { $0.ledger = ledger }
    }

    /// Writes what is not written yet, and lets go of the thread.
    func stop() async {
        let ids = state.withLock { Array($0.meetings.keys) }
        for id in ids { change { $0.leave(id, now: MonotonicClock.now, at: self.time()) } }
        do {
            try await writer.runIfActive { self.keepNow() }
            try await writer.shutdownGracefully()
        } catch {
            logger.debug("the books were not closed in order: \(error)")
        }
    }

    // MARK: Connections

    func connectionOpened(_ connection: PeerConnection) {
        let (now, seconds) = (MonotonicClock.now, time())
        let peer = connection.peerID
        let messages = change { state -> [ControlMessage] in
            state.ledger.met(peer, group: connection.creditGroup, now: now, at: seconds)
            // What of earlier connections is in no receipt is given up; a receipt that comes yet
            // brings it back.
            state.ledger.settle(peer, at: seconds)
            state.meetings[connection.id] = Meeting(
                connection: connection, tally: CreditTally(peer, meter: connection.credit))
            state.allow(connection.id, isContended: isContended, at: seconds)
            var messages: [ControlMessage] = []
            if let terms = state.tellTerms(
                connection.id, isContended: isContended, at: seconds)
            {
                messages.append(.terms(terms))
            }
            if let balance = state.ledger.balance(with: peer) { messages.append(.balance(balance)) }
            return messages
        }
        connection.send(messages)
    }

    func connectionClosed(_ connection: PeerConnection) {
        change { $0.leave(connection.id, now: MonotonicClock.now, at: self.time()) }
    }

    /// Handles a message about credit; false where it is about something else.
    func receive(_ message: ControlMessage, from connection: PeerConnection) -> Bool {
        switch message {
        case .terms(let terms): receive(terms, from: connection)
        case .balance(let balance): receive(balance, from: connection)
        case .receipt(let receipt): receive(receipt, from: connection)
        case .askAssignment(let wish): answer(wish, from: connection)
        case .assign(let assignment): receive(assignment, from: connection)
        case .assignReply(let reply): receive(reply, from: connection)
        default: return false
        }
        connection.credit.noteSpeaking()
        return true
    }

    /// A peer said what cannot be, or what another signed: that is noted, and its connection ends.
    func refuse(_ connection: PeerConnection, _ error: PetalsError) {
        noteViolation(by: connection.peerID)
        logger.warning("\(error.message); the connection with \(connection.address) ends")
        connection.close()
    }

    /// A peer broke a promise: it forged, it gave wrong leaves, it does not have what it claims.
    ///
    /// Replayed receipts are none: they change nothing, and honest ones come twice where
    /// connections break.
    func noteViolation(by peer: PeerID) {
        let seconds = time()
        change { $0.ledger.violated(peer, at: seconds) }
    }

    // MARK: Time

    /// Enters what was counted, sends the receipts that are due, and looks for those that are
    /// late; called once a second.
    func look() {
        writer.submit { [self] poolState in
            guard case .active = poolState else { return }
            lookNow()
        }
    }

    private func lookNow() {
        let (now, seconds) = (MonotonicClock.now, time())
        let (actions, connections) = change { state in
            for id in state.meetings.keys { state.enter(id, now: now, at: seconds) }
            let actions = state.ledger.advance(now: now, at: seconds)
            let isContended = self.isContended
            for id in state.meetings.keys {
                state.allow(id, isContended: isContended, at: seconds)
            }
            return (actions, state.meetings.values.map(\.connection))
        }
        for connection in connections {
            sendReceipt(to: connection)
            retellTerms(connection)
        }
        for action in actions { carryOut(action, among: connections) }
        noteSales()
        wishForAssignments()
        keepInTime()
    }

    private func carryOut(_ action: CreditLedger.Action, among connections: [PeerConnection]) {
        switch action {
        case .stop(let peer):
            logger.info("peer \(peer.label) is sent nothing until it signs for what it has had")
        case .close(let peer):
            logger.notice(
                "peer \(peer.label) did not sign for what it was sent; the connection ends")
            for connection in connections where connection.peerID == peer { connection.close() }
        }
    }

    /// Whether more is wanted of this node, by more than one peer, than it may send.
    var isContended: Bool { contention.load(ordering: .relaxed) }

    /// Whoever sends says so.
    func setContended(_ isContended: Bool) { contention.store(isContended, ordering: .relaxed) }
}

extension CreditKeeper.State {
    /// Enters what a connection's meter has counted since the last time.
    mutating func enter(_ id: PeerConnection.ID, now: Instant, at seconds: Int) {
        guard var meeting = meetings[id] else { return }
        let epoch = meeting.terms?.epoch ?? 0
        if meeting.tally.enter(in: &ledger, epoch: epoch, now: now, at: seconds) {
            meeting.receivedAt = now
        }
        meetings[id] = meeting
    }

    /// Tells a connection's meter how much more may be sent.
    func allow(_ id: PeerConnection.ID, isContended: Bool, at seconds: Int) {
        meetings[id]?.tally.allow(by: ledger, isContended: isContended, at: seconds)
    }

    /// The terms for a connection's peer, where it does not know them.
    mutating func tellTerms(
        _ id: PeerConnection.ID, isContended: Bool, at seconds: Int
    ) -> CreditTerms? {
        guard let meeting = meetings[id],
            let terms = ledger.terms(
                for: meeting.connection.peerID, priceMax: CreditPrices.ask,
                isContended: isContended, at: seconds)
        else { return nil }
        if let told = meeting.told, told.epoch == terms.epoch, terms.quantum < 2 * told.quantum,
            told.quantum < 2 * terms.quantum
        {
            return nil
        }
        meetings[id]?.told = terms
        return terms
    }

    /// A connection is over.
    mutating func leave(_ id: PeerConnection.ID, now: Instant, at seconds: Int) {
        enter(id, now: now, at: seconds)
        guard let meeting = meetings.removeValue(forKey: id) else { return }
        let peer = meeting.connection.peerID
        guard !meetings.values.contains(where: { $0.connection.peerID == peer }) else { return }
        ledger.left(peer, at: seconds)
    }
}

extension PeerConnection {
    /// The network that the peer's account is put under: who has many names in one has one share.
    var creditGroup: String { network ?? host }
}
