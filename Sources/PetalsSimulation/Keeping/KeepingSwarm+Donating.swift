internal import PetalsCore
internal import ShardFetch

// What plans decide, and what becomes of it.

extension KeepingSwarm {
    /// Has a node's plan asked at some time, and not more often than its own pause.
    func advanceSoon(_ node: KeepingNode, at moment: Instant) {
        guard node.isThere, !node.isPublisher, moment < .infinity else { return }
        let at = max(moment, queue.now) + 1
        guard at < node.advancesAt else { return }
        node.advancesAt = at
        queue.schedule(.advance(node.number, session: node.session), at: at)
    }

    func advance(_ node: KeepingNode) {
        let now = queue.now
        // An earlier moment was scheduled since: this one is not the one that counts.
        guard node.isThere, node.advancesAt <= now else { return }
        node.advancesAt = .infinity
        let actions = node.plan.advance(now: now)
        for action in actions {
            switch action {
            case .take(let shard, let way): begin(node, shard, way)
            case .abandon(let shard): abandon(node, shard)
            case .drop(let shard):
                figures.dropped += isCounting ? 1 : 0
                guard node.held.remove(shard) != nil else {
                    violations.append("node \(node.number) dropped what it does not have")
                    continue
                }
                count(shard, of: node, isThere: -1, isAnywhere: -1)
                tell(shard, of: node, isWhole: false)
            case .audit(let peer, let shard): audit(node, peer, shard)
            }
        }
        if !actions.isEmpty { tellSoon(node) }
        check(node)
        advanceSoon(node, at: node.plan.wakesAt)
    }

    // MARK: Checks of claims

    private func audit(
        _ node: KeepingNode, _ peer: DonationPlan.Peer, _ shard: DonationPlan.Shard
    ) {
        guard let other = numbers[peer] else { return }
        node.controlSent += 1
        nodes[other].controlSent += 1
        queue.schedule(
            .audited(node.number, other, shard, session: node.session),
            after: 2 * spreadLatency(node.number, other))
    }

    func audited(
        _ node: KeepingNode, _ other: KeepingNode, _ shard: DonationPlan.Shard, _ session: Int
    ) {
        guard node.session == session, node.isThere else { return }
        let verdict: DonationPlan.Verdict =
            if !node.connected.contains(other.number) {
                .silent
            } else if other.held.contains(shard) {
                .proved
            } else {
                .refused
            }
        node.plan.audited(other.peer, shard, verdict, now: queue.now)
        advanceSoon(node, at: queue.now)
    }

    // MARK: Taking

    private func begin(
        _ node: KeepingNode, _ shard: DonationPlan.Shard, _ way: DonationPlan.Way
    ) {
        if node.held.contains(shard) || node.takes[shard] != nil {
            violations.append("node \(node.number) takes what it has")
        }
        node.takes[shard] = KeepingNode.Take(way: way)
        ask(node, shard)
    }

    private func abandon(_ node: KeepingNode, _ shard: DonationPlan.Shard) {
        guard let take = node.takes.removeValue(forKey: shard) else { return }
        cancel(take, of: node)
    }

    private func cancel(_ take: KeepingNode.Take, of node: KeepingNode) {
        for source in take.sources.sorted() {
            lines.cancel(from: source, to: node.number) { parcel in
                guard take.open.contains(parcel.id) else { return false }
                parts[parcel.id] = nil
                return true
            }
        }
        for part in take.open { parts[part] = nil }
    }

    /// Asks for the next part of a shard.
    private func ask(_ node: KeepingNode, _ shard: DonationPlan.Shard) {
        guard var take = node.takes[shard] else { return }
        let sources: [Int]
        switch take.way {
        case .fetch: sources = soonest(1, [holders(of: shard, for: node)])
        case .rebuild: sources = rebuildSources(of: shard, for: node)
        }
        guard !sources.isEmpty else {
            node.takes[shard] = nil
            node.plan.failed(shard, now: queue.now)
            figures.failed += 1
            tellSoon(node)
            return advanceSoon(node, at: queue.now)
        }
        take.sources = Set(sources)
        take.open = []
        let bytes = scenario.geometry.shardLength(shard.index) / Self.parts
        for source in sources where source != node.number {
            parts[nextPart] = Part(node: node.number, session: node.session, shard: shard)
            take.open.insert(nextPart)
            let parcel = Lines.Parcel(
                id: nextPart, source: source, target: node.number, bytes: bytes)
            nextPart += 1
            if let free = lines.send(parcel, now: queue.now) {
                queue.schedule(.lineFree(source, cuts: lines.cuts(source)), at: free)
            }
        }
        node.takes[shard] = take
    }

    /// Connected nodes that have a shard.
    private func holders(of shard: DonationPlan.Shard, for node: KeepingNode) -> [Int] {
        node.connected.filter { nodes[$0].held.contains(shard) }.sorted()
    }

    /// For each of k other columns the node that gives it; empty where there are fewer.
    private func rebuildSources(of shard: DonationPlan.Shard, for node: KeepingNode) -> [Int] {
        let k = scenario.geometry.dataShards
        let others = scenario.geometry.shards.filter { $0 != shard.index }
            .map { DonationPlan.Shard(shard.blob, $0) }
        let own = others.filter { node.held.contains($0) }.count
        let columns = others.filter { !node.held.contains($0) }
            .map { holders(of: $0, for: node) }.filter { !$0.isEmpty }
        guard own + columns.count >= k else { return [] }
        return soonest(max(0, k - own), columns) + (own > 0 ? [node.number] : [])
    }

    /// Of so many columns the holders that are expected to be through first.
    private func soonest(_ count: Int, _ columns: [[Int]]) -> [Int] {
        let bytes = Double(scenario.geometry.shardLength(ShardIndex(0)) / Self.parts)
        let best = columns.compactMap { holders in
            holders.map { number -> (Double, Int) in
                let turns = Double(lines.waitingReceivers(number) + 1)
                return (turns * bytes / lines.upload(number), number)
            }.min { $0 < $1 }
        }
        return best.sorted { $0 < $1 }.prefix(count).map(\.1)
    }

    func came(_ parcel: Lines.Parcel) {
        guard let part = parts.removeValue(forKey: parcel.id) else { return }
        let node = nodes[part.node]
        let sender = nodes[parcel.source]
        if isCounting { repairBytes[sender.kind] += parcel.bytes }
        guard node.session == part.session, var take = node.takes[part.shard] else { return }
        take.open.remove(parcel.id)
        if take.open.isEmpty { take.done += 1 }
        node.takes[part.shard] = take
        guard take.open.isEmpty else { return }
        guard take.done == Self.parts else { return ask(node, part.shard) }
        node.takes[part.shard] = nil
        node.held.insert(part.shard)
        count(part.shard, of: node, isThere: 1, isAnywhere: 1)
        if isCounting {
            if take.way == .rebuild { figures.rebuilt += 1 } else { figures.fetched += 1 }
        }
        node.plan.took(part.shard, take.way, now: queue.now)
        tell(part.shard, of: node, isWhole: true)
        tellSoon(node)
        advanceSoon(node, at: queue.now)
    }

    /// A node went that gave something to another: what was coming is asked of others.
    func sourceLost(_ node: KeepingNode, to other: KeepingNode) {
        for (shard, take) in other.takes.sorted(by: { $0.key < $1.key })
        where take.sources.contains(node.number) {
            cancel(take, of: other)
            ask(other, shard)
        }
    }
}
