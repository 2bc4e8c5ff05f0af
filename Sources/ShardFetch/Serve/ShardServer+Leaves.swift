internal import DequeModule
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

extension ShardServer {
    /// Puts a request into its queue, or refuses it.
    func enqueue(_ request: ControlMessage.LeafRequest, _ connection: PeerConnection) {
        guard isServing else {
            return connection.send(.refuse(request: request.request, .notHeld))
        }
        let bytes = request.leaves.count * Limits.leafBytes
        let seeded = request.bulk ? seededBlob(request.topic, connection) : nil
        let admitted = state.withLock { state -> Bool? in
            if let seeded, seeded.geometry.contains(request.address) {
                let isGiven = state.fresh.admits(
                    request.address, of: seeded.id, seeded.geometry, to: connection.peerID,
                    // On a fast line, to come again for a cell costs more than the cell.
                    isContended: state.clients.contains {
                        $0.key != connection.id && $0.value.owedBytes > 0
                            && $0.value.drain.isSlow
                    }, now: MonotonicClock.now)
                guard isGiven else { return false }
            }
            return state.clients[connection.id]?.admit(request, bytes: bytes)
        }
        guard admitted == true else {
            return connection.send(.refuse(request: request.request, .busy))
        }
        pump(connection)
    }

    /// The blob behind a topic where all of its data is here; nil else.
    ///
    /// Only who has everything can hope that others have the rest: a node that is still fetching
    /// gives what it has to everybody.
    private func seededBlob(_ topic: Topic, _ connection: PeerConnection) -> StoredBlob? {
        // With one peer there is nobody to share with.
        guard state.withLock({ $0.clients.count > 1 }), let blob = joinedBlob(topic, connection)
        else { return nil }
        // Asked at each request, and a large blob has hundreds of shards to look at.
        let changes = blob.changes
        if let known = state.withLock({ $0.wholeness[blob.id] }), known.changes == changes {
            return known.isWhole ? blob : nil
        }
        let isWhole = blob.geometry.streamShards.allSatisfy { blob.holdings(of: $0).isComplete }
        state.withLock { $0.wholeness[blob.id] = (changes, isWhole) }
        return isWhole ? blob : nil
    }

    /// Looks at a cell again that a peer found damaged in what it got.
    func recheck(_ request: UInt32, _ connection: PeerConnection) {
        let answered = state.withLock { state in
            state.clients[connection.id]?.answered.first { $0.request == request }
        }
        guard let answered, let blob = joinedBlob(answered.topic, connection) else { return }
        pool.submit { [self] poolState in
            guard case .active = poolState else { return }
            do throws(PetalsError) {
                guard try !blob.recheck(answered.address) else { return }
                logger.notice("a peer found \(answered.address) damaged; here it is sound")
            } catch {
                logger.warning("a damaged cell could not be looked at: \(error.message)")
            }
        }
    }

    /// Takes a request out of its queue; what is being read or sent goes on.
    func cancel(_ request: UInt32, _ connection: PeerConnection) {
        state.withLock { $0.clients[connection.id]?.cancel(request) }
    }

    /// Has the requests of a connection answered, those that need not wait by a worker of its own,
    /// which it gets unless it has one or enough is on its way.
    func pump(_ connection: PeerConnection) {
        let pace = pace
        startPumping(connection, pace)
        if pace != .free { holdBack() }
    }

    /// Starts a worker for what need not wait.
    func startPumping(_ connection: PeerConnection, _ pace: Pace) {
        let start = state.withLock { $0.clients[connection.id]?.startPumping(pace) }
        guard start == true else { return }
        pool.submit { [self] poolState in
            guard case .active = poolState else { return }
            var hasWaited = false
            while let request = next(connection, &hasWaited) { answer(request, connection) }
            // What was left to a turn may need none any more.
            if hasWaited { pump(connection) }
        }
    }

    /// The next request to answer; nil, and the worker's end, when there is none or enough is on
    /// its way.
    private func next(
        _ connection: PeerConnection, _ hasWaited: inout Bool
    ) -> ControlMessage.LeafRequest? {
        while true {
            let pace = pace
            hasWaited = pace != .free
            guard let request = state.withLock({ $0.clients[connection.id]?.next(pace) }) else {
                return nil
            }
            if let admitted = admit(request, connection) { return admitted }
            // A receipt that came before the request was put back found nobody waiting.
            let hasRoom = state.withLock { state in
                let hasRoom = connection.credit.hasRoom(price: CreditKeeper.price(of: request))
                state.clients[connection.id]?.endPumping(hasRoom: hasRoom)
                return hasRoom
            }
            guard hasRoom else { return nil }
        }
    }

    /// Reads what a request asks for and sends it.
    ///
    /// - Parameter standing: that of the peer where the request waited for its turn, and is
    ///   charged for.
    func answer(
        _ request: ControlMessage.LeafRequest, _ connection: PeerConnection,
        turnOf standing: CreditStanding? = nil
    ) {
        let bytes = request.leaves.count * Limits.leafBytes
        switch frames(for: request, connection) {
        case .failure(let refusal):
            settle(connection, owed: bytes, sending: 0)
            credit.void(request, on: connection)
            // The rest of it, if it was cut.
            cancel(request.request, connection)
            connection.send(.refuse(request: request.request, refusal.reason))
        case .success(let (blob, frames)):
            credit.post(request, of: blob, on: connection)
            let began = MonotonicClock.now
            state.withLock { state in
                if let standing {
                    let sent = frames.reduce(0) { $0 + $1.0.readableBytes }
                    state.uploads.sent(
                        sent, to: connection.peerID, as: standing, bulk: request.bulk, now: began)
                }
                if state.clients[connection.id]?.sendingBytes == 0 {
                    state.clients[connection.id]?.drain.begin(now: began)
                }
                state.clients[connection.id]?.sendingBytes += bytes
            }
            for (frame, part) in frames {
                let length = frame.readableBytes
                connection.send(frame) { [self] in
                    servedBytes.wrappingAdd(part, ordering: .relaxed)
                    uploadedBytes.wrappingAdd(length, ordering: .relaxed)
                    settle(connection, owed: part, sending: part)
                    pump(connection)
                }
            }
        }
    }

    private func settle(_ connection: PeerConnection, owed: Int, sending: Int) {
        let now = MonotonicClock.now
        state.withLock { state in
            if sending > 0 { state.clients[connection.id]?.drain.sent(sending, now: now) }
            state.clients[connection.id]?.owedBytes -= owed
            state.clients[connection.id]?.sendingBytes -= sending
        }
    }

    private struct RefusalError: Error {
        let reason: ControlMessage.Refusal
    }

    /// The frames that answer a request, each with its number of leaf bytes, and their blob.
    private func frames(
        for request: ControlMessage.LeafRequest, _ connection: PeerConnection
    ) -> Result<(StoredBlob, [(ByteBuffer, Int)]), RefusalError> {
        guard let blob = joinedBlob(request.topic, connection) else {
            return .failure(RefusalError(reason: .unknown))
        }
        let address = request.address
        guard blob.geometry.contains(address),
            request.leaves.upperBound <= blob.geometry.leafCount(address)
        else { return .failure(RefusalError(reason: .badRequest)) }
        let bulkLeaves = state.withLock { state in
            state.clients[connection.id]?.drain.bulkFrameLeaves ?? Limits.bulkFrameLeavesMax
        }
        let step = request.bulk ? bulkLeaves : Limits.leavesPerCell
        var frames: [(ByteBuffer, Int)] = []
        do throws(PetalsError) {
            for part in request.leaves.parts(of: step) {
                let frame = try FrameEncoder.data(
                    answering: request.request, address, leaves: part, from: blob)
                guard let frame else { return .failure(RefusalError(reason: .notHeld)) }
                frames.append((frame, part.count * Limits.leafBytes))
            }
        } catch {
            logger.warning("a request could not be served: \(error.message)")
            return .failure(RefusalError(reason: .broken))
        }
        return .success((blob, frames))
    }
}
