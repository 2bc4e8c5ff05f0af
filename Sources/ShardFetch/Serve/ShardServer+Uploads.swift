internal import Logging
internal import NIOCore
internal import NIOPosix
internal import PetalsCore
internal import Synchronization

// Limits on what is sent. What need not wait goes the short way, in `ShardServer+Leaves.swift`, and
// pays one look at two atomic numbers for what is here.

extension ShardServer {
    /// Which requests wait for a turn, instead of being answered as fast as their peer takes it.
    enum Pace {
        case free
        /// A read of this node waits for bytes of its own.
        case bulkWaits
        /// There is a limit.
        case allWait
    }

    var pace: Pace {
        if limit.load(ordering: .relaxed) >= 0 { return .allWait }
        return demand.isWaiting ? .bulkWaits : .free
    }

    /// Whether shards are sent at all: where they are not, none are claimed or announced either.
    var isServing: Bool { limit.load(ordering: .relaxed) != 0 }

    // MARK: Turns

    /// Leaves requests to their turns.
    ///
    /// The read to which they yield may be over by now. Either this sees that, or the end of the
    /// read sees the flag.
    func holdBack() {
        isHoldingBack.store(true, ordering: .sequentiallyConsistent)
        takeTurns()
        if pace == .free { resume() }
    }

    /// No read of this node waits any more.
    func demandIsOver() {
        if isHoldingBack.exchange(false, ordering: .sequentiallyConsistent) { resume() }
    }

    /// Goes on with all that waits, as far as it may.
    func resume() {
        let pace = pace
        if pace != .free { takeTurns() }
        guard pace != .allWait else { return }
        let waiting = state.withLock { state in
            state.clients.values.filter { $0.waitingCount > 0 }.map(\.connection)
        }
        for connection in waiting { startPumping(connection, pace) }
    }

    /// Answers requests turn by turn, for as long as there may be one; then waits for the time of
    /// the next.
    private func takeTurns() {
        guard let first = nextTurn(isBeginning: true) else { return }
        pool.submit { [self] poolState in
            guard case .active = poolState else { return }
            var turn: Turn? = first
            while let (request, connection, standing) = turn {
                if let admitted = admit(request, connection) {
                    answer(admitted, connection, turnOf: standing)
                } else if connection.credit.hasRoom(price: CreditKeeper.price(of: request)) {
                    // A receipt that came before the request was put back found nobody waiting.
                    hasRoom(connection)
                }
                turn = nextTurn(isBeginning: false)
            }
            if pace == .free { resume() }
        }
    }

    private typealias Turn = (ControlMessage.LeafRequest, PeerConnection, CreditStanding)

    /// The request whose turn it is; nil, and the worker's end, where there is none now.
    private func nextTurn(isBeginning: Bool) -> Turn? {
        let now = MonotonicClock.now
        let pace = pace
        let standings = standings(pace)
        let (turn, timer) = state.withLock { state -> (Turn?, (PeerConnection, Instant)?) in
            guard !isBeginning || !state.isTakingTurns else { return (nil, nil) }
            let waiting = standings.compactMap { connection, standing in
                state.clients[connection]?.waiting(pace, as: standing)
            }
            state.isTakingTurns = false
            let decision = state.uploads.next(of: waiting, yields: demand.isWaiting, now: now)
            credit.setContended(state.uploads.isContended(now: now))
            switch decision {
            case .serve(let id, let bulk, let leavesMax):
                guard let connection = state.clients[id]?.connection,
                    let standing = waiting.first(where: { $0.connection == id })?.standing,
                    let request = state.clients[id]?.take(bulk: bulk, leavesMax: leavesMax)
                else { return (nil, nil) }
                state.isTakingTurns = true
                return ((request, connection, standing), nil)
            case .wait(let seconds):
                let at = now + seconds
                if let settled = state.nextTurnAt, settled <= at { return (nil, nil) }
                guard let first = waiting.first?.connection,
                    let connection = state.clients[first]?.connection
                else { return (nil, nil) }
                state.nextTurnAt = at
                return (nil, (connection, seconds))
            case .rest:
                return (nil, nil)
            }
        }
        if let (connection, seconds) = timer { wake(after: seconds, on: connection) }
        return turn
    }

    /// Who asks for anything, in the order in which they came, and as what.
    private func standings(
        _ pace: Pace
    ) -> [(connection: PeerConnection.ID, standing: CreditStanding)] {
        let waiting = state.withLock { state in
            state.clients.values.filter { $0.waitingCount > 0 }.map(\.connection)
        }.sorted { $0.id < $1.id }
        let standings = credit.standings(of: waiting)
        return waiting.compactMap { connection in
            standings[connection.id].map { (connection.id, $0) }
        }
    }

    /// Looks for a turn again in a while; on the event loop of some connection, whose threads wait
    /// anyway.
    private func wake(after seconds: Instant, on connection: PeerConnection) {
        // A second at most: then the limit may be another one.
        let nanoseconds = Int64(min(max(seconds, 0.001), 1) * 1e9)
        connection.channel.eventLoop.scheduleTask(in: .nanoseconds(nanoseconds)) { [weak self] in
            self?.state.withLock { $0.nextTurnAt = nil }
            self?.resume()
        }
    }

    // MARK: The limit

    /// Takes another limit and time table, from now on.
    func setUploads(_ schedule: UploadSchedule) {
        self.schedule.withLock { $0 = schedule }
        followSchedule()
    }

    /// Measures what is sent, and looks whether the time table has another limit now; called once a
    /// second.
    func look() {
        let now = MonotonicClock.now
        let bytes = uploadedBytes.load(ordering: .relaxed)
        state.withLock { state in
            if let (sent, seconds) = state.meter.note(bytes, now: now) {
                state.uploads.measured(sent, in: seconds, now: now)
            }
            credit.setContended(state.uploads.isContended(now: now))
        }
        followSchedule()
        lookForRoom()
    }

    private func followSchedule() {
        let rate = schedule.withLock { $0 }.rate(atMinute: minuteOfDay())
        let now = MonotonicClock.now
        let refused = state.withLock { state -> [(PeerConnection, UInt32)]? in
            guard state.uploads.limit != rate else { return nil }
            state.uploads.setLimit(rate, now: now)
            limit.store(rate ?? -1, ordering: .relaxed)
            guard rate == 0 else { return [] }
            var refused: [(PeerConnection, UInt32)] = []
            for (id, client) in state.clients {
                for request in state.clients[id]?.takeAll() ?? [] {
                    refused.append((client.connection, request.request))
                }
            }
            return refused
        }
        guard let refused else { return }
        let text = rate.map { $0 == 0 ? "nothing" : "\(ByteCount($0)) a second" }
        logger.info("sends \(text ?? "shards without a limit") from now on")
        for (connection, request) in refused {
            connection.send(.refuse(request: request, .notHeld))
        }
        resume()
    }

    /// What is sent, for `petalsfs status`.
    func uploadStatus() -> NodeStatus.Upload {
        let limit = limit.load(ordering: .relaxed)
        let (rate, clients) = state.withLock { state in
            (state.meter.rate, state.clients.values.filter { $0.waitingCount > 0 })
        }
        let standings = credit.standings(of: clients.map(\.connection))
        let waiters = clients.sorted { $0.connection.id < $1.connection.id }.map { client in
            NodeStatus.Waiter(
                id: client.connection.peerID.peerName,
                tier: "\(standings[client.connection.id]?.tier ?? .newcomer)",
                requests: client.waitingCount, unpaid: client.isUnpaid)
        }
        return NodeStatus.Upload(
            limit: limit < 0 ? nil : limit, times: schedule.withLock { $0.times },
            bytes: uploadedBytes.load(ordering: .relaxed), rate: rate,
            waiting: waiters.reduce(0) { $0 + $1.requests },
            contended: credit.isContended, waiters: waiters)
    }
}
