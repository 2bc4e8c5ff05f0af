internal import Foundation
internal import PetalsCore

/// What to take.
extension DonationPlan {
    /// Seconds between two times at which all groups are compared.
    static let decisionPause: Instant = 1
    /// Groups that are looked at closely in one comparison.
    static let closeLooks = 64

    /// Looks at what has changed and says what to do now.
    package mutating func advance(now: Instant) -> [Action] {
        refresh(now: now)
        var actions = trim(now: now)
        actions += dueAudits(now: now)
        guard now >= decidesAt else { return actions }
        guard now >= decidedAt + Self.decisionPause else {
            decidesAt = decidedAt + Self.decisionPause
            return actions
        }
        decidedAt = now
        decidesAt = .infinity
        actions += decide(now: now)
        return actions
    }

    /// Works out anew what follows for the groups of which something has changed.
    mutating func refresh(now: Instant) {
        if now >= expiresAt {
            for (index, group) in groups.enumerated() {
                if let group, group.expiresAt <= now { dirty.insert(index) }
            }
            expiresAt = groups.reduce(.infinity) { end, group in
                guard let group, group.expiresAt > now else { return end }
                return min(end, group.expiresAt)
            }
        }
        guard !dirty.isEmpty else { return }
        for index in dirty {
            guard var group = groups[index] else { continue }
            // Out of the array, or changing it would copy it.
            groups[index] = nil
            group.look(self, now: now)
            expiresAt = min(expiresAt, group.expiresAt)
            groups[index] = group
        }
        dirty.removeAll(keepingCapacity: true)
        decideSoon(now)
    }

    /// A shard that could be taken.
    struct Candidate {
        let index: Int
        let column: Int
        /// When it is this donor's turn.
        let dueAt: Instant
        let way: Way
    }

    /// Takes what is due, or makes room for it.
    private mutating func decide(now: Instant) -> [Action] {
        reckonRebuilding(now: now)
        var actions: [Action] = []
        var blocked: Candidate?
        var looks = 0
        // Left for rarer shards whose turn has not come.
        var spared = 0
        var rarity = Int.min
        var sparedNext = 0
        for index in order() {
            guard looks < Self.closeLooks, let group = groups[index] else { break }
            guard let candidate = candidate(in: group, at: index, now: now) else { continue }
            looks += 1
            if group.rarity > rarity { (rarity, spared) = (group.rarity, sparedNext) }
            guard candidate.dueAt <= now else {
                decidesAt = min(decidesAt, candidate.dueAt)
                sparedNext += group.length * group.rare.nonzeroBitCount
                continue
            }
            guard group.length <= room else {
                if blocked == nil { blocked = candidate }
                continue
            }
            guard group.length <= room - spared else { continue }
            // One of a group at a time: others are to see it before the next is chosen.
            guard takesUnderWay < rules.takesAtOnce else { return actions }
            actions.append(take(candidate))
            decidesAt = now
        }
        guard actions.isEmpty, let blocked else { return actions }
        return makeRoom(for: blocked, now: now)
    }

    /// Groups of which something is wanted, the rarest first, then those nearest to being lost.
    ///
    /// What is equal is ordered by a hash, so that donors do not all begin with the same.
    private func order() -> [Int] {
        groups.indices.compactMap { index -> (Int, Int, UInt64, Int)? in
            guard let group = groups[index], group.wanted != 0 else { return nil }
            return (group.rarity, group.slack, group.rank(own, group.n), index)
        }.sorted { $0 < $1 }.map(\.3)
    }

    private mutating func take(_ candidate: Candidate) -> Action {
        guard let group = groups[candidate.index] else {
            preconditionFailure("a candidate is a shard of a group that is there")
        }
        used += group.length
        takesUnderWay += 1
        if candidate.way == .rebuild { rebuildBytes -= Double(group.length * group.k) }
        groups[candidate.index]?.coming |= 1 << UInt64(candidate.column)
        dirty.insert(candidate.index)
        return .take(group.shard(candidate.column), candidate.way)
    }

    /// The shard of a group whose turn comes first; nil where none can be taken for now.
    private mutating func candidate(
        in group: Group, at index: Int, now: Instant
    ) -> Candidate? {
        var best: (dueAt: Instant, rank: UInt64, column: Int)?
        // Once for all columns: this is what a donor spends its time on.
        let rivals = rivals(in: group).filter { $0.room >= group.length }
        for column in 0..<group.n where group.rare >> UInt64(column) & 1 == 1 {
            if let retryAt = group.failures[column]?.retryAt, retryAt > now {
                decidesAt = min(decidesAt, retryAt)
                continue
            }
            let dueAt = dueAt(column, in: group, rivals)
            let rank = group.rank(own, column)
            if let best, (best.dueAt, ~best.rank) <= (dueAt, ~rank) { continue }
            best = (dueAt, rank, column)
        }
        guard let best else { return nil }
        let isHere = group.available >> UInt64(best.column) & 1 == 1
        if !isHere, group.slack > 0, rebuildBytes <= 0 {
            // Until there is something to rebuild with again.
            let rate = max(1, lineRate * rules.rebuildShare)
            decidesAt = min(decidesAt, now + max(1, -rebuildBytes / rate))
            return nil
        }
        return Candidate(
            index: index, column: best.column, dueAt: best.dueAt, way: isHere ? .fetch : .rebuild)
    }

    /// When it is this donor's turn to take a shard, among rivals that have room for it.
    private func dueAt(_ column: Int, in group: Group, _ rivals: [Rival]) -> Instant {
        let turn = turn(column, in: group, among: rivals)
        var wait = rules.turnSeconds * Double(turn.before)
        // Others have less of the group, and may be busy: they are left more time.
        if turn.hasFewer { wait += group.slack > 0 ? rules.lossSeconds : rules.settleSeconds }
        let readyAt = readyAt(column, in: group)
        // What somebody has just set about may have changed the order.
        return wait > 0 ? max(readyAt, group.pledgedAt) + wait : readyAt
    }

    /// When a shard may be taken by whoever's turn comes first.
    func readyAt(_ column: Int, in group: Group) -> Instant {
        let wait: Instant
        if group.available >> UInt64(column) & 1 == 1 {
            let copies = Double(group.levels[column]) / Double(Self.unit)
            wait = rules.lossSeconds * min(copies / max(0.1, rules.copiesTarget), 1)
        } else {
            // Who is gone usually comes back, and rebuilding reads k shards: the more can be
            // spared, the longer he has for that.
            wait = min(rules.lossSecondsMax, rules.lossSeconds / 8 * exp2(Double(group.slack)))
        }
        return group.since[column] + max(rules.settleSeconds, wait)
    }

    /// What a donor has of a group.
    struct Rival {
        let peer: Peer
        let has: UInt64
        let room: Int
    }

    /// What other donors have of a group: asked once for all of its shards, since there may be a
    /// thousand pairs of a donor and a shard.
    func rivals(in group: Group) -> [Rival] {
        donors.compactMap { donor in
            guard let state = peers[donor], state.doubtedUntil < decidedAt else { return nil }
            let view = group.views[donor] ?? View()
            return Rival(peer: donor, has: view.claimed | view.pledged, room: state.room ?? 0)
        }
    }

    /// How many donors come before this one for a shard, and whether any has fewer of the group.
    func turn(
        _ column: Int, in group: Group, among rivals: [Rival]
    ) -> (before: Int, hasFewer: Bool) {
        let bit = UInt64(1) << UInt64(column)
        let count = group.mine.nonzeroBitCount
        let rank = group.rank(own, column)
        var turn = (before: 0, hasFewer: false)
        for rival in rivals where rival.has & bit == 0 {
            let has = rival.has.nonzeroBitCount
            if has < count { turn.hasFewer = true }
            if has < count || has == count && group.rank(rival.peer, column) > rank {
                turn.before += 1
            }
        }
        return turn
    }

    /// Reckons what may be read for rebuilding by now.
    private mutating func reckonRebuilding(now: Instant) {
        let rate = lineRate * rules.rebuildShare
        let earned = rate * max(0, now - rebuildReckonedAt)
        rebuildBytes = min(rate * rules.rebuildBurstSeconds, rebuildBytes + earned)
        rebuildReckonedAt = now
    }
}
