internal import PetalsCore

extension FetchScheduler {
    /// Sets about getting a cell from the rest of its row.
    ///
    /// Always the whole cell: single leaves could not be checked, since their siblings' hashes came
    /// from the holders that are gone.
    ///
    /// - Returns: false when fewer than k other cells of the row can be had.
    mutating func repair(
        _ key: CellKey, now: Instant, here: (CellKey) -> LeafSet
    ) -> Bool {
        guard let geometry = geometries[key.blob], let job = jobs[key] else { return false }
        let leaves = LeafSet(first: geometry.leafCount(key.address))
        // A job that only serves another's repair is not repaired itself: the other one chooses
        // another column.
        if job.wanted.isEmpty {
            let dependents = job.dependents
            for request in job.requests { drop(request: request, cancel: true) }
            forget(key)
            for dependent in dependents { requeue(dependent) }
            return true
        }
        let row = geometry.row(of: key.address)
        let own = geometry.column(of: key.address.shard)
        var present: [Int] = []
        var coming: [Int] = []
        var askable: [(isLater: Bool, seconds: Instant, column: Int)] = []
        for column in 0..<geometry.groupShards where column != own {
            let other = CellKey(
                blob: key.blob, address: geometry.address(row: row, column: column))
            if here(other).isSuperset(of: leaves) {
                present.append(column)
            } else if isComing(other, leaves.subtracting(here(other))) {
                coming.append(column)
            } else if let seconds = bestSeconds(other, now: now) {
                // What was set about before goes first, or each look would choose other columns.
                askable.append((jobs[other] == nil, seconds, column))
            }
        }
        let k = geometry.dataShards
        if present.count >= k {
            guard job.rebuildAfter <= now else { return false }
            return rebuild(key, leaves, columns: Array(present.prefix(k)), now: now)
        }
        let lacking = k - present.count
        guard coming.count + askable.count >= lacking else { return false }
        askable.sort {
            $0.isLater == $1.isLater
                ? ($0.seconds, $0.column) < ($1.seconds, $1.column) : $1.isLater
        }
        let chosen = askable.prefix(max(0, lacking - coming.count)).map(\.column)
        for column in coming.prefix(lacking) + chosen {
            let other = CellKey(
                blob: key.blob, address: geometry.address(row: row, column: column))
            var helper = jobs[other] ?? Job()
            helper.missing = helper.missing.union(leaves.subtracting(here(other)))
            helper.dependents.insert(key)
            if job.urgency > helper.urgency {
                helper.urgency = job.urgency
                helper.queued = false
            }
            jobs[other] = helper
            enqueue(other)
        }
        return true
    }

    /// Whether leaves of a cell are under way already.
    private func isComing(_ key: CellKey, _ leaves: LeafSet) -> Bool {
        guard let job = jobs[key], job.missing.isSuperset(of: leaves) else { return false }
        return job.requests.contains { requests[$0]?.late == false }
    }

    /// The expected time of the best peer for a cell; nil when nobody can be asked.
    private func bestSeconds(_ key: CellKey, now: Instant) -> Instant? {
        let shard = ShardKey(blob: key.blob, shard: key.address.shard)
        return (holders[shard] ?? [:]).compactMap { peer, cells in
            guard cells.contains(key.address.cell), let model = peers[peer],
                mayAsk(peer, for: key, now: now)
            else { return nil }
            return model.expectedSeconds(for: Limits.cellBytes)
        }.min()
    }

    /// Has the shell rebuild leaves, once the layer that will check them is known.
    private mutating func rebuild(
        _ key: CellKey, _ leaves: LeafSet, columns: [Int], now: Instant
    ) -> Bool {
        let shard = ShardKey(blob: key.blob, shard: key.address.shard)
        if case .known = layers[shard] {
            jobs[key]?.rebuilding.mask |= leaves.mask
            pendingActions.append(.rebuild(key, leaves, columns: columns))
            return true
        }
        wantLayer(shard, now: now)
        return false
    }

    /// Asks for a shard's cell layer, unless it is known or under way.
    ///
    /// Whoever holds any shard of a group keeps the layers of all of its shards.
    mutating func wantLayer(_ shard: ShardKey, now: Instant) {
        switch layers[shard] {
        case .known, .asked: return
        case nil: break
        }
        guard let geometry = geometries[shard.blob] else { return }
        let group = geometry.group(of: shard.shard)
        for column in 0..<geometry.groupShards {
            let sibling = ShardKey(
                blob: shard.blob, shard: ShardIndex(group * geometry.groupShards + column))
            let peers = (holders[sibling] ?? [:]).keys.filter {
                (layerAvoided[shard]?[$0] ?? 0) <= now
            }
            if let peer = peers.min() { return askLayer(shard, of: peer, now: now) }
        }
    }
}
