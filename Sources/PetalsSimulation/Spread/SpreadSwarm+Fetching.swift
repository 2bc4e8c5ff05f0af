internal import PetalsCore
internal import ShardFetch

// What is asked, sent, received and told.

extension SpreadSwarm {
    /// Seconds between two looks of a scheduler at the clock: five times as long as in petalsfs,
    /// so that a lateness is seen a fifth of a second later, which changes no figure here.
    static let tickSeconds: Instant = 0.25
    /// Seconds for which what happens to a node is gathered before its scheduler is asked, which
    /// petalsfs does after each frame: a window is longer than that, so that lines do not stand
    /// still, and most of the time a run takes is saved.
    static let actSeconds: Instant = 0.1

    /// Has a node's scheduler asked soon what to do.
    func act(_ node: SpreadNode) {
        guard !node.isActing else { return }
        node.isActing = true
        queue.schedule(.act(node.number), after: Self.actSeconds)
    }

    /// Carries out what a node's scheduler decides, as `FetchEngine` does.
    func decide(_ node: SpreadNode) {
        node.isActing = false
        guard node.isHere else { return }
        let shelf = node.shelf
        let actions = node.scheduler.advance(now: queue.now) { shelf.leaves(of: $0.address) }
        for action in actions {
            switch action {
            case .request(let id, let peer, let key, let leaves, _):
                request(node, id, peer, key, leaves)
            case .requestLayer(_, let peer, let key):
                guard let other = node.peers[peer] else { continue }
                node.controlSent += 1
                queue.schedule(
                    .layer(node.number, key), after: 2 * spreadLatency(node.number, other))
            case .cancel(let id, let peer):
                node.controlSent += 1
                if let other = node.peers[peer] { cancel(id, of: node, at: other) }
            case .rebuild(let key, let leaves, _):
                queue.schedule(.rebuilt(node.number, key, leaves), after: 0.002)
            }
        }
        if !node.isTicking, !node.scheduler.isIdle {
            node.isTicking = true
            queue.schedule(.tick(node.number), after: Self.tickSeconds)
        }
    }

    /// Puts the frames of an answer into the line of whoever is asked.
    private func request(
        _ node: SpreadNode, _ id: UInt32, _ peer: PeerConnection.ID,
        _ key: FetchScheduler.CellKey, _ leaves: Range<Int>
    ) {
        guard let other = node.peers[peer], nodes[other].isHere else { return }
        node.requestsSent += 1
        guard nodes[other].shelf.has(key.address) else {
            violations.append("node \(node.number) asked \(other) for a cell that it does not have")
            return
        }
        guard admits(node, key.address, at: nodes[other]) else {
            nodes[other].controlSent += 1
            figures.refusals += 1
            queue.schedule(
                .refused(node.number, id, peer), after: 2 * spreadLatency(node.number, other))
            return
        }
        // A frame on a fast line is as large as what leaves in 20 ms (`DrainRate`).
        let isFast = lines.upload(other) * 0.02 >= Double(Limits.cellBytes)
        let step = isFast ? Limits.leavesPerCell : Limits.bulkFrameLeavesMax
        for part in leaves.parts(of: step) {
            frames[nextFrame] = Frame(
                request: id, connection: peer, key: key, leaves: LeafSet(part))
            let parcel = Lines.Parcel(
                id: nextFrame, source: other, target: node.number,
                bytes: part.count * Limits.leafBytes)
            nextFrame += 1
            if let free = lines.send(parcel, now: queue.now) {
                queue.schedule(.lineFree(other, cuts: lines.cuts(other)), at: free)
            }
        }
    }

    /// Whether a node gives a cell now, as `ShardServer` decides it.
    private func admits(
        _ node: SpreadNode, _ address: CellAddress, at other: SpreadNode
    ) -> Bool {
        guard scenario.givesOnce, other.isSeeder else { return true }
        return other.fresh.admits(
            address, of: blobID, scenario.geometry, to: addresses.peerID(of: node.number),
            isContended: lines.isContended(other.number, by: node.number), now: queue.now)
    }

    private func cancel(_ id: UInt32, of node: SpreadNode, at other: Int) {
        lines.cancel(from: other, to: node.number) { parcel in
            guard frames[parcel.id]?.request == id else { return false }
            frames[parcel.id] = nil
            return true
        }
    }

    func lineFree(_ number: Int, cuts: Int) {
        guard let delivery = lines.freed(number, cuts: cuts, now: queue.now) else { return }
        queue.schedule(.came(delivery.parcel), at: delivery.arrivesAt)
        if let free = delivery.freeAt { queue.schedule(.lineFree(number, cuts: cuts), at: free) }
    }

    /// A frame came: checked against what was expected, kept, and told to the scheduler.
    func came(_ parcel: Lines.Parcel) {
        guard let frame = frames.removeValue(forKey: parcel.id) else { return }
        let node = nodes[parcel.target]
        guard node.isHere,
            node.scheduler.expectation(frame.request, from: frame.connection) != nil
        else { return }
        kept(node, frame.key, frame.leaves)
        node.scheduler.arrived(frame.request, leaves: frame.leaves, now: queue.now)
        node.scheduler.got(frame.key, frame.leaves)
        act(node)
    }

    /// Keeps leaves on a node's disk, and wants more when enough has come.
    func kept(_ node: SpreadNode, _ key: FetchScheduler.CellKey, _ leaves: LeafSet) {
        guard node.shelf.keep(leaves, of: key.address) else { return }
        count(node, key.address)
        if node.missing.remove(key.address) != nil {
            node.wantedCount -= 1
        } else if node.wants.contains(key.address.shard) {
            // Came for a repair before its turn; it will be found here when that comes.
            node.wantedCount -= 1
        }
        if node.isFinished { figures.finished += 1 }
        node.refill()
    }

    func tick(_ node: SpreadNode) {
        node.isTicking = false
        guard node.isHere, !node.scheduler.isIdle else { return }
        node.scheduler.tick(now: queue.now)
        act(node)
    }

    // MARK: Holdings

    /// Tells all peers what has changed, as `ShardServer.tellHoldings` does once a second.
    func tell(_ node: SpreadNode) {
        guard node.isHere else { return }
        queue.schedule(.tell(node.number), after: 1)
        guard !node.shelf.changed.isEmpty else { return }
        let changed = node.shelf.changed.sorted()
        node.shelf.changed = []
        for (_, other) in node.peers.sorted(by: { $0.key < $1.key }) {
            tell(changed, of: node, to: nodes[other])
        }
    }

    /// What a node holds of some shards, in one message.
    func tell(_ shards: [Int], of node: SpreadNode, to other: SpreadNode) {
        guard !shards.isEmpty, let connection = other.connections[node.number] else { return }
        node.controlSent += 1
        // Who wants nothing more has no use for it.
        guard !other.isFinished, other.number != 0 else { return }
        other.holders.insert(connection)
        for shard in shards {
            other.scheduler.holdings(
                connection, FetchScheduler.ShardKey(SpreadNode.blob, ShardIndex(shard)),
                node.shelf.cells[shard])
        }
        act(other)
    }
}
