internal import DequeModule
package import PetalsCore

extension FetchScheduler {
    /// What became of looking at a job.
    private enum Outcome {
        /// Nothing is left to ask: all is under way.
        case settled
        /// Somebody could serve it, and has no room at the moment.
        case full
        /// Nobody can serve it at the moment.
        case stuck
    }

    /// Looks at all that is wanted and says what to do now.
    ///
    /// - Parameter here: which leaves of a cell lie in this node already; repair uses them.
    package mutating func advance(
        now: Instant, here: (CellKey) -> LeafSet
    ) -> [Action] {
        // A repair adds jobs for other columns: a few rounds find a place for those too.
        for urgency in [Urgency.demand, .bulk] {
            for _ in 0..<4 {
                guard drain(urgency, now: now, here: here) else { break }
            }
        }
        defer { pendingActions = [] }
        return pendingActions
    }

    /// Looks at the clock: what is late is asked elsewhere, what was stuck is tried again.
    ///
    /// To be called some twenty times a second while anything is wanted, before `advance`.
    package mutating func tick(now: Instant) {
        for (request, found) in requests {
            if found.late {
                abandon(request, found, now: now)
                continue
            }
            let isSilent = peers[found.peer]?.isSilent(since: found.sentAt, now: now) ?? true
            guard found.expectedBy <= now || isSilent, let job = jobs[found.key] else { continue }
            let bytes = found.leaves.count * Limits.leafBytes
            let waited = now - found.sentAt
            let mayHedge = job.urgency == .demand && hedgedBytes + bytes <= hedgeBytesMax
            // A peer that delivers nothing at all is not slow but stuck, and no budget keeps
            // anybody waiting for it.
            let isLost = isSilent || waited >= max(2, 4 * (found.expectedBy - found.sentAt))
            guard mayHedge || isLost else { continue }
            hedgedBytes += bytes
            requests[request]?.late = true
            peers[found.peer]?.disappointed()
            avoided[found.key, default: [:]][found.peer] = now + Self.avoidSeconds
            askAgain(found.key)
        }
        for (request, found) in layerRequests {
            // It stays expected: a slow peer's answer is as good as any.
            if case .asked(request, _, let at) = layers[found.key],
                now - at >= Self.layerSecondsMax
            {
                avoidLayer(found.key, of: found.peer, now: now)
            }
        }
        pruneAvoided(now: now)
        retryStuck(now: now)
    }

    /// Stops waiting for the answer to a late request when its peer answers nothing any more, so
    /// that it does not count against the peer for ever.
    private mutating func abandon(_ id: UInt32, _ request: Request, now: Instant) {
        let lastSign = max(request.sentAt, peers[request.peer]?.quietSince ?? 0)
        guard now - lastSign >= Self.requestSecondsMax else { return }
        peers[request.peer]?.brokeClaim()
        drop(request: id, cancel: true)
    }

    /// Goes through a queue once.
    ///
    /// - Returns: whether jobs joined it meanwhile, which are worth a look of their own.
    private mutating func drain(
        _ urgency: Urgency, now: Instant, here: (CellKey) -> LeafSet
    ) -> Bool {
        var work = Deque<CellKey>()
        swapQueue(urgency, with: &work)
        var kept: [CellKey] = []
        // Shards whose holders have no room: what follows of them finds none either.
        var full: Set<ShardKey> = []
        while let key = work.popFirst() {
            guard let job = jobs[key], job.queued, job.urgency == urgency else { continue }
            let shard = ShardKey(blob: key.blob, shard: key.address.shard)
            if urgency == .bulk {
                if bulkBytes >= bulkBytesMax || nobodyHasRoom {
                    work.prepend(key)
                    break
                }
                if kept.count >= Self.lookAhead, full.contains(shard) {
                    kept.append(key)
                    continue
                }
            }
            jobs[key]?.queued = false
            switch place(key, now: now, here: here) {
            case .settled: break
            case .full:
                jobs[key]?.queued = true
                kept.append(key)
                full.insert(shard)
            case .stuck:
                stuck.insert(key)
                for dependent in jobs[key]?.dependents ?? [] { requeue(dependent) }
            }
        }
        // What joined meanwhile serves what was looked at, and may find room at once.
        work.prepend(contentsOf: kept)
        var queue = Deque<CellKey>()
        swapQueue(urgency, with: &queue)
        let joined = !queue.isEmpty
        work.prepend(contentsOf: queue)
        swapQueue(urgency, with: &work)
        return joined
    }

    private mutating func swapQueue(_ urgency: Urgency, with other: inout Deque<CellKey>) {
        if urgency == .demand {
            swap(&demandQueue, &other)
        } else {
            swap(&bulkQueue, &other)
        }
    }

    /// Whether there are peers and none has room.
    ///
    /// Without any peer, repair from what is here goes on.
    private var nobodyHasRoom: Bool {
        !peers.isEmpty && !peers.values.contains { $0.hasRoom(for: Limits.cellBytes, bulk: true) }
    }

    /// Finds ways to the leaves of a job that nobody has been asked for yet, run by run: what lies
    /// between them is here or under way.
    private mutating func place(
        _ key: CellKey, now: Instant, here: (CellKey) -> LeafSet
    ) -> Outcome {
        let open = openLeaves(key)
        if jobs[key]?.isRelieved == true {
            // Its line may have room again: what stands in for it is under way.
            if repair(key, now: now, here: here, from: .underWay) { return .settled }
            jobs[key]?.isRelieved = false
        }
        // Nobody is asked for it yet: it may be had sooner from the rest of its row.
        if open == jobs[key]?.missing, isRepairQuicker(key, now: now, here: here),
            repair(key, now: now, here: here)
        {
            return .settled
        }
        for leaves in open.runs {
            let outcome = place(leaves, of: key, now: now)
            if outcome == .stuck { return repair(key, now: now, here: here) ? .settled : .stuck }
            if outcome == .full { return relieve(key, now: now, here: here) ? .settled : .full }
        }
        return .settled
    }

    /// The leaves of a job that are not under way.
    private func openLeaves(_ key: CellKey) -> LeafSet {
        guard let job = jobs[key] else { return .none }
        var open = job.missing.subtracting(job.rebuilding)
        for request in job.requests {
            if let found = requests[request], !found.late {
                open = open.subtracting(found.leaves)
            }
        }
        return open
    }

    /// Asks the holder that is expected to finish first for neighbouring leaves.
    private mutating func place(
        _ leaves: Range<Int>, of key: CellKey, now: Instant
    ) -> Outcome {
        let bulk = jobs[key]?.urgency == .bulk
        let bytes = leaves.count * Limits.leafBytes
        let shard = ShardKey(blob: key.blob, shard: key.address.shard)
        var best: (peer: Peer, seconds: Instant, cost: Instant)?
        var soonest = Instant.infinity
        for (peer, cells) in holders[shard] ?? [:] where cells.contains(key.address.cell) {
            guard let model = peers[peer], mayAsk(peer, for: key, now: now) else { continue }
            let seconds = model.expectedSeconds(for: bytes)
            soonest = min(soonest, seconds)
            guard model.hasRoom(for: bytes, bulk: bulk) else { continue }
            let cost = model.cost(ofSeconds: seconds)
            if best == nil || (cost, peer) < (best?.cost ?? 0, best?.peer ?? peer) {
                best = (peer, seconds, cost)
            }
        }
        // A slow peer has room when all others are busy: waiting for those is quicker.
        if let best, best.seconds <= max(Self.waitFactor * soonest, Self.slowSeconds) {
            ask(best.peer, for: key, leaves: leaves, bulk: bulk, now: now)
            return .settled
        }
        return soonest.isFinite ? .full : .stuck
    }

    private mutating func ask(
        _ peer: Peer, for key: CellKey, leaves: Range<Int>, bulk: Bool, now: Instant
    ) {
        askLayer(ShardKey(blob: key.blob, shard: key.address.shard), of: peer, now: now)
        let bytes = leaves.count * Limits.leafBytes
        let patience = peers[peer]?.patienceSeconds(for: bytes) ?? 1
        let id = takeRequestID()
        requests[id] = Request(
            peer: peer, key: key, leaves: LeafSet(leaves), sentAt: now, expectedBy: now + patience,
            bulk: bulk)
        peers[peer]?.asked(bytes, now: now)
        if bulk { bulkBytes += bytes }
        jobs[key]?.requests.append(id)
        pendingActions.append(.request(id, peer, key, leaves: leaves, bulk: bulk))
    }

    /// Asks for a shard's cell layer unless it is known or this peer was asked already; on the same
    /// connection it then comes before the leaves that need it.
    mutating func askLayer(_ key: ShardKey, of peer: Peer, now: Instant) {
        switch layers[key] {
        case .known: return
        case .asked(_, peer, _): return
        case .asked, nil: break
        }
        // Asked before, and late: it still comes before the leaves that need it.
        if let id = layerRequests.first(where: { $0.value.peer == peer && $0.value.key == key })?
            .key
        {
            layers[key] = .asked(request: id, peer, now)
            return
        }
        let id = takeRequestID()
        layerRequests[id] = (peer, key)
        layers[key] = .asked(request: id, peer, now)
        pendingActions.append(.requestLayer(id, peer, key))
    }

    private mutating func takeRequestID() -> UInt32 {
        defer { nextRequest &+= 1 }
        return nextRequest
    }
}
