internal import PetalsCore
internal import PetalsTesting
internal import ShardFetch

// Who is there, and what nodes tell each other.

extension KeepingSwarm {
    // MARK: Coming and going

    func comes(_ node: KeepingNode, _ session: Int) {
        guard node.session == session, !node.isThere else { return }
        node.isThere = true
        node.session += 1
        node.thereSince = queue.now
        for shard in node.held { count(shard, of: node, isThere: 1, isAnywhere: 0) }
        // Whoever joins its topics is told what it keeps now, and not what it was getting.
        for model in 0..<scenario.models {
            let blob = DonationPlan.Blob(model)
            node.told[blob] = Set(node.plan.pledges(of: blob))
        }
        node.toldRoom = node.plan.room
        queue.schedule(
            .goes(node.number, session: node.session),
            after: node.fate.decay(mean: scenario.sessions.presentMean))
        meetOthers(node)
        advanceSoon(node, at: queue.now)
    }

    /// Dials those who are there, three a second.
    func meetOthers(_ node: KeepingNode) {
        let others = members[node.catalogue].filter { $0 != node.number && nodes[$0].isThere }
            .shuffled(using: &generator)
        for (place, other) in others.enumerated() {
            let wait = Double(place / Limits.dialsPerSecondMax) + 0.5
            queue.schedule(
                .meets(
                    node.number, other, session: node.session, other: nodes[other].session),
                after: wait)
        }
    }

    func goes(_ node: KeepingNode, _ session: Int) {
        guard node.session == session, node.isThere else { return }
        leave(node)
        queue.schedule(
            .comes(node.number, session: node.session),
            after: node.fate.decay(mean: scenario.sessions.absentMean))
    }

    private func leave(_ node: KeepingNode) {
        let now = queue.now
        node.isThere = false
        node.session += 1
        node.advancesAt = .infinity
        node.tellsAt = .infinity
        node.thereSeconds += now - node.thereSince
        for shard in node.held { count(shard, of: node, isThere: -1, isAnywhere: 0) }
        lines.cut(node.number, now: now)
        for number in node.connected.sorted() {
            let other = nodes[number]
            other.connected.remove(node.number)
            other.plan.peerClosed(node.peer, now: now)
            node.plan.peerClosed(other.peer, now: now)
            lines.cancel(from: number, to: node.number) { parcel in
                parts[parcel.id] = nil
                return true
            }
            sourceLost(node, to: other)
            advanceSoon(other, at: now)
        }
        node.connected = []
        // Cells that came are kept; the part that was coming begins anew with the next session.
        for (shard, _) in node.takes.sorted(by: { $0.key < $1.key }) {
            node.plan.failed(shard, now: now)
            figures.failed += 1
        }
        node.takes = [:]
    }

    /// A node leaves with all that it has; a donor's place is taken by another with an empty disk.
    func goesForGood(_ node: KeepingNode) {
        if node.isThere { leave(node) }
        node.session += 1
        for shard in node.held { count(shard, of: node, isThere: 0, isAnywhere: -1) }
        node.held = []
        members[node.catalogue].removeAll { $0 == node.number }
        guard !node.isPublisher else { return }
        let line = scenario.population.lines[node.kind]
        // From its own numbers, which no policy draws from.
        let fate = SeededGenerator(seed: node.fate.next())
        let fresh = addNode(
            node.catalogue, kind: node.kind, line: line, quota: node.quota, isPublisher: false,
            fate: fate)
        meetOthers(fresh)
    }

    /// Two nodes are connected, and tell each other what they have.
    func meet(_ one: KeepingNode, _ two: KeepingNode) {
        guard !one.connected.contains(two.number) else { return }
        one.connected.insert(two.number)
        two.connected.insert(one.number)
        for (a, b) in [(one, two), (two, one)] where !a.isPublisher {
            let now = queue.now
            a.plan.peerOpened(b.peer, domain: UInt64(b.number), now: now)
            for model in 0..<scenario.models {
                let blob = DonationPlan.Blob(model)
                let pledged =
                    b.isPublisher ? scenario.geometry.shards : (b.told[blob] ?? []).sorted()
                a.plan.pledges(b.peer, blob, adding: pledged, removing: [], now: now)
            }
            for shard in b.held.sorted() { a.plan.claims(b.peer, shard, isWhole: true, now: now) }
            a.plan.hasRoom(b.peer, b.isPublisher ? nil : b.toldRoom, now: now)
            // Hello, a join and an answer for each model.
            b.controlSent += 1 + 2 * scenario.models
            advanceSoon(a, at: now)
        }
    }

    // MARK: Telling

    /// Has peers told soon what has changed.
    func tellSoon(_ node: KeepingNode) {
        guard node.tellsAt == .infinity else { return }
        node.tellsAt = queue.now + Self.tellSeconds
        queue.schedule(.tell(node.number, session: node.session), at: node.tellsAt)
    }

    func tell(_ node: KeepingNode) {
        node.tellsAt = .infinity
        guard node.isThere else { return }
        for model in 0..<scenario.models {
            let blob = DonationPlan.Blob(model)
            let pledged = Set(node.plan.pledges(of: blob))
            let former = node.told[blob] ?? []
            guard pledged != former else { continue }
            node.told[blob] = pledged
            let added = pledged.subtracting(former).sorted()
            let removed = former.subtracting(pledged).sorted()
            for number in node.connected where !nodes[number].isPublisher {
                node.controlSent += 1
                nodes[number].plan.pledges(
                    node.peer, blob, adding: added, removing: removed, now: queue.now)
            }
        }
        let room = node.plan.room
        let isNews = room != node.toldRoom
        node.toldRoom = room
        for number in node.connected.sorted() where !nodes[number].isPublisher {
            if isNews {
                node.controlSent += 1
                nodes[number].plan.hasRoom(node.peer, room, now: queue.now)
            }
            advanceSoon(nodes[number], at: queue.now)
        }
    }

    /// Tells peers at once that a shard is here whole, or not any more.
    func tell(_ shard: DonationPlan.Shard, of node: KeepingNode, isWhole: Bool) {
        for number in node.connected.sorted() where !nodes[number].isPublisher {
            node.controlSent += 1
            nodes[number].plan.claims(node.peer, shard, isWhole: isWhole, now: queue.now)
            advanceSoon(nodes[number], at: queue.now)
        }
    }
}
