internal import DequeModule
package import PetalsCore

extension FetchScheduler {
    /// A peer may be asked from now on.
    package mutating func peerOpened(_ peer: Peer) {
        peers[peer] = PeerModel()
    }

    /// A peer says what it asks for what nobody else has, in mills for 1 KiB.
    package mutating func asks(_ peer: Peer, _ price: Int) { peers[peer]?.ask = price }

    /// A peer is gone, or is not to be believed any more: all that it was asked is asked elsewhere.
    package mutating func peerClosed(_ peer: Peer) {
        peers[peer] = nil
        for key in holders.keys { holders[key]?[peer] = nil }
        for key in avoided.keys { avoided[key]?[peer] = nil }
        for key in layerAvoided.keys { layerAvoided[key]?[peer] = nil }
        for (request, found) in requests where found.peer == peer {
            drop(request: request, cancel: false)
            askAgain(found.key)
        }
        for (request, found) in layerRequests where found.peer == peer {
            layerRequests[request] = nil
            if case .asked(_, peer, _) = layers[found.key] { layers[found.key] = nil }
        }
        retryStuck()
    }

    /// A peer says what it holds of a shard; replaces what it said before.
    ///
    /// The bitmap has the shard's number of cells: the shell has checked that.
    package mutating func holdings(_ peer: Peer, _ key: ShardKey, _ cells: CellBitmap) {
        guard peers[peer] != nil else { return }
        let former = holders[key]?[peer]
        holders[key, default: [:]][peer] = cells.isEmpty ? nil : cells
        let mayProveAgain = layerAvoided[key]?.removeValue(forKey: peer) != nil
        guard former != nil, !mayProveAgain else { return retryStuck(inGroupOf: key) }
        // In a swarm that shares a new model such news comes many times a second, and each adds a
        // few cells: what they have nothing to do with is not looked at.
        retryStuck(inGroupOf: key) { cells.contains($0) && former?.contains($0) != true }
    }

    /// A peer's topic was left: nothing is known of what it holds of the blob.
    mutating func forgetHoldings(of peer: Peer, blob: BlobHandle) {
        for key in holders.keys where key.blob == blob { holders[key]?[peer] = nil }
    }

    /// How many peers hold anything of a shard.
    package func holderCount(_ key: ShardKey) -> Int { holders[key]?.count ?? 0 }

    /// How many peers hold a cell.
    ///
    /// - Complexity: O(holders of its shard).
    package func holderCount(_ key: CellKey) -> Int {
        let shard = ShardKey(blob: key.blob, shard: key.address.shard)
        return (holders[shard] ?? [:]).values.count { $0.contains(key.address.cell) }
    }

    /// Takes a request off the books.
    mutating func drop(request: UInt32, cancel: Bool) {
        guard let found = requests.removeValue(forKey: request) else { return }
        let bytes = found.leaves.count * Limits.leafBytes
        peers[found.peer]?.finished(undelivered: bytes, wasLate: found.late)
        if found.bulk { bulkBytes -= bytes }
        jobs[found.key]?.requests.removeAll { $0 == request }
        if cancel, !found.leaves.isEmpty, peers[found.peer] != nil {
            cancelled.note(found, of: request)
            pendingActions.append(.cancel(request, found.peer))
        }
    }

    /// Notes that a peer did not give a shard's layer (in time): others are asked for a while.
    mutating func avoidLayer(_ key: ShardKey, of peer: Peer, now: Instant) {
        if case .known = layers[key] { return }
        if case .asked(_, peer, _) = layers[key] { layers[key] = nil }
        layerAvoided[key, default: [:]][peer] = now + Self.avoidSeconds
        retryStuck()
    }

    /// Whether a peer may be asked for a cell: it answers at all, and did not refuse it a moment
    /// ago, nor the layer that proves it.
    func mayAsk(_ peer: Peer, for key: CellKey, now: Instant) -> Bool {
        guard let model = peers[peer], !model.isStalled(now: now),
            (avoided[key]?[peer] ?? 0) <= now
        else { return false }
        let shard = ShardKey(blob: key.blob, shard: key.address.shard)
        if case .known = layers[shard] { return true }
        return (layerAvoided[shard]?[peer] ?? 0) <= now
    }

    /// Forgets what is over of what peers are not to be asked for.
    mutating func pruneAvoided(now: Instant) {
        func prune<Key>(_ all: inout [Key: [Peer: Instant]]) {
            guard !all.isEmpty else { return }
            all = all.compactMapValues { peers in
                let rest = peers.filter { $0.value > now }
                return rest.isEmpty ? nil : rest
            }
        }
        prune(&avoided)
        prune(&layerAvoided)
    }

    // MARK: Queues

    mutating func enqueue(_ key: CellKey) {
        guard var job = jobs[key], !job.queued else { return }
        job.queued = true
        jobs[key] = job
        stuck.remove(key)
        if job.urgency == .demand { demandQueue.append(key) } else { bulkQueue.append(key) }
    }

    /// Looks at a job again soon, before those that came later.
    mutating func requeue(_ key: CellKey) {
        guard var job = jobs[key], !job.queued else { return }
        job.queued = true
        jobs[key] = job
        stuck.remove(key)
        if job.urgency == .demand { demandQueue.prepend(key) } else { bulkQueue.prepend(key) }
    }

    /// Looks for another way to a cell that was asked for in vain; so do those that it stands in
    /// for.
    mutating func askAgain(_ key: CellKey) {
        for dependent in jobs[key]?.dependents ?? [] where jobs[dependent]?.isRelieved == true {
            jobs[dependent]?.isRelieved = false
            requeue(dependent)
        }
        requeue(key)
    }

    mutating func retryStuck() {
        for key in stuck { enqueue(key) }
        stuck.removeAll()
    }

    /// Looks again at what nobody could serve of a shard's group, as far as its row is concerned.
    mutating func retryStuck(
        inGroupOf shard: ShardKey, where isConcerned: (CellIndex) -> Bool = { _ in true }
    ) {
        guard !stuck.isEmpty, let geometry = geometries[shard.blob] else { return }
        let group = geometry.group(of: shard.shard)
        for key in stuck
        where key.blob == shard.blob && geometry.group(of: key.address.shard) == group
            && isConcerned(key.address.cell)
        {
            enqueue(key)
        }
    }

    /// Looks again at what nobody could serve because time has passed: at what a read waits for
    /// each time, at the rest once a second, since most of it would only be found stuck again.
    mutating func retryStuck(now: Instant) {
        let retriesBulk = now - bulkRetriedAt >= 1
        if retriesBulk { bulkRetriedAt = now }
        for key in stuck where retriesBulk || jobs[key]?.urgency == .demand { enqueue(key) }
    }

    mutating func forget(_ key: CellKey) {
        let hadHelpers = jobs[key]?.hasHelpers == true
        jobs[key] = nil
        stuck.remove(key)
        if hadHelpers { releaseHelpers(of: key) }
    }
}
