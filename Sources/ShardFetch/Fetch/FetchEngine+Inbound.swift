internal import Logging
internal import NIOPosix
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

// What comes from peers. The methods here run on event loops and hand all that costs more than a
// few microseconds to the worker pool.

extension FetchEngine {
    // MARK: Connections

    func connectionOpened(_ connection: PeerConnection) {
        let sessions = state.withLock { state -> [BlobSession] in
            state.connections[connection.id] = connection
            state.joined[connection.id] = []
            state.scheduler.peerOpened(connection.id)
            // The newest blobs are the likeliest to be read next; older ones join when needed.
            return state.sessions.values.sorted { $0.handle.rawValue > $1.handle.rawValue }
                .prefix(Limits.topicsPerPeerMax).reversed()
        }
        for session in sessions { join(session, on: connection) }
    }

    func connectionClosed(_ connection: PeerConnection) {
        perform { state in
            state.connections[connection.id] = nil
            state.joined[connection.id] = nil
            state.scheduler.peerClosed(connection.id)
        }
    }

    // MARK: Topics

    /// Joins a blob's topic on every connection where that has not happened.
    func joinEverywhere(_ session: BlobSession) {
        let connections = state.withLock { state in
            state.connections.values.filter { connection in
                state.joined[connection.id]?.contains { $0.blob == session.handle } == false
            }
        }
        for connection in connections { join(session, on: connection) }
    }

    /// Joins the topics of blobs that something is wanted of and that had to wait for a place.
    func rejoinWaiting() {
        let waiting = state.withLock { state -> [BlobSession] in
            guard state.sessions.count > Limits.topicsPerPeerMax else { return [] }
            return state.sessions.values.filter { state.scheduler.wantsAny(of: $0.handle) }
        }
        for session in waiting { joinEverywhere(session) }
    }

    private func join(_ session: BlobSession, on connection: PeerConnection) {
        let topic = session.topic(day: today())
        let messages = state.withLock { state -> [ControlMessage] in
            guard var joined = state.joined[connection.id],
                !joined.contains(where: { $0.blob == session.handle })
            else { return [] }
            var messages: [ControlMessage] = []
            if joined.count >= Limits.topicsPerPeerMax {
                // A topic that something is wanted of is not left; then this one waits its turn.
                guard
                    let idle = joined.firstIndex(where: { !state.scheduler.wantsAny(of: $0.blob) })
                else { return [] }
                let left = joined.remove(at: idle)
                messages.append(.leave(left.topic))
                state.scheduler.forgetHoldings(of: connection.id, blob: left.blob)
            }
            joined.append((topic, session.handle))
            state.joined[connection.id] = joined
            return messages + [.join(topic)]
        }
        connection.send(messages)
        // What it holds is told anew.
        if !messages.isEmpty { watcher(.joined(connection, session)) }
    }

    // MARK: Frames

    /// Handles a frame that answers something of ours; false when it is none of this room's.
    func receive(_ frame: InboundFrame, from connection: PeerConnection) -> Bool {
        switch frame {
        case .control(.holdings(let topic, let shards)):
            receiveHoldings(topic, shards, from: connection)
        case .control(.refuse(let request, let reason)):
            perform {
                $0.scheduler.refused(
                    request, by: connection.id, reason: reason, now: MonotonicClock.now)
            }
        case .data(let header, let proof, let leaves):
            receiveData(header, proof: proof, bytes: leaves, from: connection)
        case .cellLayer(let header, let hashes):
            receiveLayer(header, hashes: hashes, from: connection)
        default: return false
        }
        return true
    }

    private func receiveHoldings(
        _ topic: Topic, _ shards: [ControlMessage.ShardHolding], from connection: PeerConnection
    ) {
        let session = state.withLock { state -> BlobSession? in
            let joined = state.joined[connection.id]?.first { $0.topic == topic }
            return joined.flatMap { state.sessions[$0.blob] }
        }
        // A topic that was left meanwhile: nothing to learn from it.
        guard let session else { return }
        var known: [(FetchScheduler.ShardKey, CellBitmap)] = []
        for holding in shards {
            guard session.geometry.contains(holding.shard) else {
                return blame(connection, "it claims a shard that the blob does not have")
            }
            let count = session.geometry.cellCount(of: holding.shard)
            let bitmap =
                holding.cells.map { CellBitmap(cellCount: count, bytes: $0) }
                ?? CellBitmap(cellCount: count, complete: true)
            guard let bitmap else {
                return blame(connection, "its list of cells does not fit the blob")
            }
            known.append((session.key(holding.shard), bitmap))
            if bitmap.isEmpty {
                credit.prices.refuted(connection.peerID, .init(session.id, holding.shard))
            }
        }
        perform { state in
            for (key, bitmap) in known {
                state.scheduler.holdings(connection.id, key, bitmap)
            }
        }
        guard watcher.isSet else { return }
        watcher(.holds(connection, session, known.map { ($0.0.shard, $0.1.isComplete) }))
    }

    private func receiveData(
        _ header: DataHeader, proof: [Digest], bytes: [UInt8], from connection: PeerConnection
    ) {
        let expected = state.withLock { state -> (BlobSession, CellAddress, LeafSet)? in
            guard
                let found = state.scheduler.expectation(header.request, from: connection.id),
                let session = state.sessions[found.key.blob]
            else { return nil }
            return (session, found.key.address, found.leaves)
        }
        // Cancelled, or answered twice: not wanted, and no offence.
        guard let (session, address, leaves) = expected,
            leaves.isSuperset(of: LeafSet(header.leaves))
        else { return payLate(header, proof: proof, bytes: bytes, from: connection) }
        pool.submit { [self] poolState in
            guard case .active = poolState else { return }
            guard let layer = session.stored.layer(of: address.shard) else {
                // The peer gave leaves and kept back what proves them.
                return perform {
                    $0.scheduler.refused(
                        header.request, by: connection.id, reason: .unspecified,
                        now: MonotonicClock.now)
                }
            }
            guard
                let verified = layer.verify(
                    address: address, leaves: header.leaves, bytes: bytes, proof: proof,
                    leafCount: session.geometry.leafCount(address))
            else {
                metrics.damagedLeaves.wrappingAdd(1, ordering: .relaxed)
                connection.send(.damaged(request: header.request))
                return blame(
                    connection,
                    "\(address) \(LeafSet(header.leaves)) of blob \(session.id.short) is damaged")
            }
            metrics.verifiedBytes.wrappingAdd(bytes.count, ordering: .relaxed)
            connection.noteProven()
            var owed = 0
            var price: Int?
            let came = LeafSet(header.leaves)
            deliver(verified, session: session) { state in
                owed = state.scheduler.arrived(
                    header.request, leaves: came, now: MonotonicClock.now)
                // It was cancelled while it was checked.
                if owed == 0 { owed = state.scheduler.arrivedLate(header.request, leaves: came) }
                price = state.prices[header.request]
            }
            credit.received(
                leaves: owed, of: session.id, address.shard, price: price, from: connection)
        }
    }

    private func receiveLayer(
        _ header: CellLayerHeader, hashes: [Digest], from connection: PeerConnection
    ) {
        let expected = state.withLock { state -> (BlobSession, ShardIndex)? in
            guard
                let key = state.scheduler.layerExpectation(header.request, from: connection.id),
                let session = state.sessions[key.blob]
            else { return nil }
            return (session, key.shard)
        }
        guard let (session, shard) = expected else { return }
        // Here and not on the pool: leaves that need it follow on this connection. It is 762 hashes
        // at most.
        guard
            let layer = CellLayer(
                shard: shard, cellHashes: hashes, geometry: session.geometry,
                root: session.stored.descriptor.shardRoots[shard.rawValue])
        else {
            return blame(connection, "the tree of shard \(shard) is not the published one")
        }
        keep(layer, session: session)
        perform { $0.scheduler.layerArrived(session.key(shard)) }
    }

    private func keep(_ layer: CellLayer, session: BlobSession) {
        do throws(PetalsError) {
            try session.stored.keep(layer)
        } catch {
            logger.warning("a shard's tree could not be written: \(error.message)")
        }
    }

    // MARK: Repair

    /// Rebuilds a cell from k others of its row; on the worker pool.
    func rebuild(_ session: BlobSession, _ address: CellAddress, columns: [Int]) {
        let geometry = session.geometry
        let row = geometry.row(of: address)
        let all = LeafSet(first: geometry.leafCount(address))
        do throws(PetalsError) {
            guard let layer = session.stored.layer(of: address.shard) else {
                throw PetalsError(.unavailable, "the tree of the shard is not here")
            }
            var sources: [VerifiedLeaves] = []
            for column in columns {
                let source = geometry.address(row: row, column: column)
                guard let parts = try present(session, source, all),
                    let whole = VerifiedLeaves.joined(parts, leafCount: all.count)
                else { throw PetalsError(.unavailable, "\(source) is gone again") }
                sources.append(whole)
            }
            let rebuilt = try VerifiedLeaves.rebuilt(
                address, from: sources, layer: layer, geometry: geometry)
            metrics.rebuiltCells.wrappingAdd(1, ordering: .relaxed)
            deliver(rebuilt, session: session)
            releaseParity(inRowOf: address, session)
            releaseSources(inRowOf: address, session)
        } catch {
            logger.warning("\(address) could not be rebuilt: \(error.message)")
            perform {
                $0.scheduler.rebuildFailed(session.key(address), all, now: MonotonicClock.now)
            }
        }
    }

    /// Lets go of a row's parity once nothing more is to be rebuilt from it: nobody reads it.
    private func releaseParity(inRowOf address: CellAddress, _ session: BlobSession) {
        let key = session.key(address)
        guard !state.withLock({ $0.scheduler.wantsAny(inRowOf: key) }) else { return }
        let geometry = session.geometry
        let row = geometry.row(of: address)
        for column in geometry.dataShards..<geometry.groupShards {
            release(session, geometry.address(row: row, column: column))
        }
    }
}

extension FetchEngine.State {
    /// Takes a blob off the lists of joined topics.
    ///
    /// - Returns: who is to hear of it, with the topic under which it was joined there.
    mutating func leave(_ blob: FetchScheduler.BlobHandle) -> [(PeerConnection, Topic)] {
        var left: [(PeerConnection, Topic)] = []
        for (id, topics) in joined {
            guard let found = topics.firstIndex(where: { $0.blob == blob }) else { continue }
            joined[id]?.remove(at: found)
            if let connection = connections[id] { left.append((connection, topics[found].topic)) }
        }
        return left
    }
}
