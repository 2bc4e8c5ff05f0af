internal import PetalsCore

extension FetchScheduler {
    /// Which columns of a row a repair may count on.
    enum Columns {
        /// Those that are here, under way, or about to be asked for.
        case underWay
        /// And those of peers that can be asked at this moment; no more of them than the row lacks
        /// anyway, so that what they cost is saved at the cells that they stand in for.
        case idle
        /// And those of peers that will have to be waited for.
        case any
    }

    /// Sets about getting a cell from the rest of its row.
    ///
    /// Always the whole cell: single leaves could not be checked, since their siblings' hashes came
    /// from the holders that are gone.
    ///
    /// - Returns: false when fewer than k other cells of the row can be had.
    mutating func repair(
        _ key: CellKey, now: Instant, here: (CellKey) -> LeafSet, from columns: Columns = .any
    ) -> Bool {
        guard let geometry = geometries[key.blob], let job = jobs[key] else { return false }
        let leaves = LeafSet(first: geometry.leafCount(key.address))
        // A job that only serves another's repair is not repaired itself: the other one chooses
        // another column.
        if job.wanted.isEmpty {
            // A late answer is still welcome: there may be no other column.
            guard job.requests.isEmpty else { return false }
            let dependents = job.dependents
            forget(key)
            for dependent in dependents { requeue(dependent) }
            return true
        }
        var (present, coming, askable, waiting) = survey(
            key, leaves, geometry, now: now, here: here, counting: columns)
        let k = geometry.dataShards
        if present.count >= k {
            releaseHelpers(of: key)
            guard job.rebuildAfter <= now else { return false }
            return rebuild(key, leaves, columns: Array(present.prefix(k)), now: now)
        }
        let lacking = k - present.count
        guard coming.count + askable.count >= lacking else { return false }
        let extra = lacking - coming.count - askable.count { !$0.isLater }
        guard columns != .idle || extra <= waiting else { return false }
        // Now and not when the columns are here: it comes while they do.
        wantLayer(ShardKey(blob: key.blob, shard: key.address.shard), now: now)
        askable.sort {
            $0.isLater == $1.isLater
                ? ($0.seconds, $0.column) < ($1.seconds, $1.column) : $1.isLater
        }
        let needed = max(0, lacking - coming.count)
        let spares = spares(
            for: job, taken: max(0, coming.count - lacking),
            chosen: askable.prefix(needed).map(\.seconds), left: askable.count - needed)
        let chosen = askable.prefix(needed + spares).map(\.column)
        for column in coming.prefix(lacking) + chosen {
            let other = cell(column, inRowOf: key, geometry)
            help(key, with: other, leaves.subtracting(here(other)))
        }
        return true
    }

    /// Where the other cells of a row stand.
    private typealias Survey = (
        present: [Int], coming: [Int],
        askable: [(isLater: Bool, seconds: Instant, column: Int)],
        /// Cells that are wanted and wait for room, with the one that is to be repaired.
        waiting: Int
    )

    private func survey(
        _ key: CellKey, _ leaves: LeafSet, _ geometry: BlobGeometry, now: Instant,
        here: (CellKey) -> LeafSet, counting columns: Columns
    ) -> Survey {
        let own = geometry.column(of: key.address.shard)
        var survey: Survey = ([], [], [], 1)
        for column in 0..<geometry.groupShards where column != own {
            let other = cell(column, inRowOf: key, geometry)
            let found = here(other)
            if found.isSuperset(of: leaves) {
                survey.present.append(column)
            } else if isComing(other, leaves.subtracting(found))
                || columns == .underWay && isQueued(other, for: key)
            {
                survey.coming.append(column)
            } else if columns != .underWay,
                let seconds = bestSeconds(other, now: now, withRoom: columns == .idle)
            {
                // What was set about before goes first, or each look would choose other columns.
                survey.askable.append((jobs[other] == nil, seconds, column))
            } else if jobs[other]?.wanted.isEmpty == false {
                survey.waiting += 1
            }
        }
        return survey
    }

    /// The cell of a column in another cell's row.
    private func cell(
        _ column: Int, inRowOf key: CellKey, _ geometry: BlobGeometry
    ) -> CellKey {
        let row = geometry.row(of: key.address)
        return CellKey(blob: key.blob, address: geometry.address(row: row, column: column))
    }

    /// Whether anything is wanted of a row.
    func wantsAny(inRowOf key: CellKey) -> Bool {
        guard let geometry = geometries[key.blob] else { return false }
        return (0..<geometry.groupShards).contains {
            jobs[cell($0, inRowOf: key, geometry)] != nil
        }
    }

    /// Has leaves of another cell fetched for a repair, as urgently as the repair is wanted.
    private mutating func help(_ key: CellKey, with other: CellKey, _ leaves: LeafSet) {
        guard let urgency = jobs[key]?.urgency else { return }
        jobs[key]?.hasHelpers = true
        var helper = jobs[other] ?? Job()
        helper.missing = helper.missing.union(leaves)
        helper.dependents.insert(key)
        if urgency > helper.urgency {
            helper.urgency = urgency
            helper.queued = false
        }
        jobs[other] = helper
        enqueue(other)
    }

    /// How many columns to ask for beyond those that are needed, so that the slowest need not be
    /// waited for: the first k to come are used, and the others cancelled.
    ///
    /// One for a read that waits, two where one of the chosen is expected to take twice as long as
    /// another; within the budget of hedges, and none for work that nobody waits for.
    ///
    /// - Parameters:
    ///   - taken: columns beyond those needed that are under way already.
    ///   - chosen: expected times of the columns that will be asked.
    ///   - left: columns that could be asked besides.
    private mutating func spares(
        for job: Job, taken: Int, chosen: [Instant], left: Int
    ) -> Int {
        guard job.urgency == .demand, left > 0, let fastest = chosen.min(),
            let slowest = chosen.max()
        else { return 0 }
        let wished = min((slowest > 2 * fastest ? 2 : 1) - taken, left)
        guard wished > 0 else { return 0 }
        let affordable = max(0, hedgeBytesMax - hedgedBytes) / Limits.cellBytes
        let spares = min(wished, affordable)
        hedgedBytes += spares * Limits.cellBytes
        return spares
    }

    /// Lets the columns go that a repair does not need any more: those that nothing else wants are
    /// cancelled.
    mutating func releaseHelpers(of key: CellKey) {
        guard let geometry = geometries[key.blob] else { return }
        for column in 0..<geometry.groupShards {
            let other = cell(column, inRowOf: key, geometry)
            guard jobs[other]?.dependents.remove(key) != nil, let helper = jobs[other],
                helper.wanted.isEmpty, helper.dependents.isEmpty
            else { continue }
            for request in helper.requests { drop(request: request, cancel: true) }
            forget(other)
        }
    }

    /// Whether the rest of the row is expected to give a cell back long before its own holders
    /// give it.
    ///
    /// The holder of a shard may be a hundred times slower than the others; whoever reads the whole
    /// file would wait for it with every row. The row's other cells are wanted anyway by such a
    /// reader, so that a slow one is replaced by one cell of parity.
    func isRepairQuicker(_ key: CellKey, now: Instant, here: (CellKey) -> LeafSet) -> Bool {
        guard let geometry = geometries[key.blob], jobs[key]?.wanted.isEmpty == false,
            let own = bestSeconds(key, now: now), own >= Self.slowSeconds
        else { return false }
        let leaves = LeafSet(first: geometry.leafCount(key.address))
        let ownColumn = geometry.column(of: key.address.shard)
        let others = (0..<geometry.groupShards).filter { $0 != ownColumn }.compactMap {
            column -> Instant? in
            let other = cell(column, inRowOf: key, geometry)
            return here(other).isSuperset(of: leaves) ? 0 : bestSeconds(other, now: now)
        }.sorted()
        guard others.count >= geometry.dataShards else { return false }
        return own > Self.slowFactor * max(others[geometry.dataShards - 1], 0.01)
    }

    /// Gets a cell from the rest of its row because the lines of its own holders are full and those
    /// of others, parity's most often, are idle.
    ///
    /// A blob's data lies on k of its n shards; where each has a holder of its own and their lines
    /// are what limits a reader, the other n - k lines would carry nothing.
    ///
    /// - Returns: false where it would cost more bytes than it saves, or time.
    mutating func relieve(
        _ key: CellKey, now: Instant, here: (CellKey) -> LeafSet
    ) -> Bool {
        let shard = ShardKey(blob: key.blob, shard: key.address.shard)
        for peer in (holders[shard] ?? [:]).keys {
            guard let seconds = peers[peer]?.lineSeconds(for: Limits.cellBytes),
                seconds >= Self.reliefSeconds
            else { return false }
        }
        // Beyond this the machine is what limits, and decoding would take from it.
        guard peers.values.reduce(0, { $0 + $1.rate }) < Self.reliefRateMax else { return false }
        guard relieveOne(key, now: now, here: here), let geometry = geometries[key.blob] else {
            return false
        }
        // What was asked for it stands in for the others of its row that wait, too.
        for column in 0..<geometry.groupShards {
            let other = cell(column, inRowOf: key, geometry)
            if jobs[other]?.queued == true { _ = relieveOne(other, now: now, here: here) }
        }
        return true
    }

    private mutating func relieveOne(
        _ key: CellKey, now: Instant, here: (CellKey) -> LeafSet
    ) -> Bool {
        guard let job = jobs[key], !job.wanted.isEmpty, job.requests.isEmpty, !job.isRelieved,
            bestSeconds(key, now: now, withRoom: true) == nil,
            repair(key, now: now, here: here, from: .idle)
        else { return false }
        jobs[key]?.isRelieved = true
        return true
    }

    /// Whether leaves of a cell are under way already.
    private func isComing(_ key: CellKey, _ leaves: LeafSet) -> Bool {
        guard let job = jobs[key], job.missing.isSuperset(of: leaves) else { return false }
        return job.requests.contains { requests[$0]?.late == false }
    }

    /// Whether a cell waits for its turn to be asked for, for a repair.
    private func isQueued(_ key: CellKey, for repaired: CellKey) -> Bool {
        guard let job = jobs[key] else { return false }
        return job.queued && job.dependents.contains(repaired)
    }

    /// The expected time of the best peer for a cell; nil when nobody can be asked.
    ///
    /// - Parameter withRoom: leaves out those that have enough to do.
    private func bestSeconds(
        _ key: CellKey, now: Instant, withRoom: Bool = false
    ) -> Instant? {
        let shard = ShardKey(blob: key.blob, shard: key.address.shard)
        var best: Instant?
        for (peer, cells) in holders[shard] ?? [:] where cells.contains(key.address.cell) {
            guard let model = peers[peer], mayAsk(peer, for: key, now: now),
                !withRoom || model.hasRoom(for: Limits.cellBytes, bulk: true)
            else { continue }
            let seconds = model.expectedSeconds(for: Limits.cellBytes)
            best = min(best ?? seconds, seconds)
        }
        return best
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

    /// Asks for a shard's cell layer, unless it is known or under way: the two peers that are
    /// expected to answer first, since it is a few kilobytes and everything waits for it.
    ///
    /// Whoever holds any shard of a group keeps the layers of all of its shards.
    mutating func wantLayer(_ shard: ShardKey, now: Instant) {
        switch layers[shard] {
        case .known, .asked: return
        case nil: break
        }
        guard let geometry = geometries[shard.blob] else { return }
        let group = geometry.group(of: shard.shard)
        var candidates: Set<Peer> = []
        for column in 0..<geometry.groupShards {
            let sibling = ShardKey(
                blob: shard.blob, shard: ShardIndex(group * geometry.groupShards + column))
            candidates.formUnion((holders[sibling] ?? [:]).keys)
        }
        let fastest = candidates.compactMap { peer -> (Instant, Peer)? in
            guard let model = peers[peer], (layerAvoided[shard]?[peer] ?? 0) <= now else {
                return nil
            }
            return (model.isStalled(now: now) ? .infinity : model.expectedSeconds(for: 0), peer)
        }.sorted { $0 < $1 }
        for (_, peer) in fastest.prefix(2) { askLayer(shard, of: peer, now: now) }
    }
}
