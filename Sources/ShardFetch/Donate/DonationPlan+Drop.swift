internal import Foundation
internal import PetalsCore

/// What to let go of.
extension DonationPlan {
    /// Shards that are looked at in search of one to let go of.
    private static let dropLooks = 8

    /// Lets go of what is over the quota, the commonest first.
    mutating func trim(now: Instant) -> [Action] {
        var actions: [Action] = []
        while used > quota {
            guard let victim = commonest(1, where: { _, _ in true }).first else { break }
            actions.append(letGo(victim.index, victim.column))
        }
        return actions
    }

    /// Lets go of a shard in favour of one that is worth more, if there is such a shard and others
    /// keep it.
    mutating func makeRoom(for wanted: Candidate, now: Instant) -> [Action] {
        guard let target = groups[wanted.index] else { return [] }
        let turn = turn(wanted.column, in: target, among: rivals(in: target))
        let begin =
            readyAt(wanted.column, in: target) + rules.settleSeconds
            + rules.turnSeconds * Double(turn.before)
        guard begin <= now else {
            decidesAt = min(decidesAt, begin)
            return []
        }
        var dwellsUntil = Instant.infinity
        let others = commonest(Self.dropLooks) { group, column in
            guard group.length + room >= target.length else { return false }
            // One that is still on its way can go at once.
            let end = (group.heldSince[column] ?? -.infinity) + rules.dwellSeconds
            if end > now { dwellsUntil = min(dwellsUntil, end) }
            return end <= now
        }
        decidesAt = min(decidesAt, dwellsUntil)
        for (index, column) in others {
            guard let group = groups[index] else { continue }
            // A shard that nobody has is worth any that somebody else keeps.
            let gain = gain(of: wanted.column, at: wanted.index, for: column, at: index, now: now)
            guard wanted.way == .rebuild || gain > rules.swapGain else { continue }
            let bit = UInt64(1) << UInt64(column)
            let keepers = keepers(of: column, in: group)
            let dueAt = begin + rules.dropTurnSeconds * Double(keepers.dropFirst)
            guard !keepers.staying.isEmpty else { continue }
            guard dueAt <= now else {
                decidesAt = min(decidesAt, dueAt)
                continue
            }
            if group.coming & bit != 0 { return [letGo(index, column)] }
            let isProved = keepers.staying.contains { peer in
                guard let view = group.views[peer] else { return false }
                return view.proved & bit != 0 && now - view.provedAt <= rules.proofSeconds
            }
            if isProved { return [letGo(index, column)] }
            decidesAt = min(decidesAt, now + Self.decisionPause)
            let asked = keepers.staying.first { peers[$0]?.isAsked == false }
            return asked.map { [ask($0, group.shard(column))] } ?? []
        }
        return []
    }

    /// Peers that keep a shard and will do so when this donor lets it go, in order; and how many
    /// donors are to let it go before this one.
    private func keepers(
        of column: Int, in group: Group
    ) -> (staying: [Peer], dropFirst: Int) {
        let bit = UInt64(1) << UInt64(column)
        let rank = group.rank(own, column)
        let isComing = group.coming & bit != 0
        var keepers = (staying: [Peer](), dropFirst: 0)
        for (peer, view) in group.views {
            guard let state = peers[peer], state.doubtedUntil < decidedAt,
                view.pledged & bit != 0, isComing || view.claimed & bit != 0
            else { continue }
            // Who is no donor does not let go of anything because others have it.
            if state.room == nil || group.rank(peer, column) > rank {
                keepers.staying.append(peer)
            } else {
                keepers.dropFirst += 1
            }
        }
        keepers.staying.sort()
        return keepers
    }

    /// The shards held because of the plan that are commonest for what they are asked for.
    private func commonest(
        _ count: Int, where condition: (Group, _ column: Int) -> Bool
    ) -> [(index: Int, column: Int)] {
        var found: [(coming: Int, level: Int, index: Int, column: Int)] = []
        for (index, group) in groups.enumerated() {
            guard let group, group.held | group.coming != 0 else { continue }
            for column in 0..<group.n where condition(group, column) {
                let bit = UInt64(1) << UInt64(column)
                guard (group.held | group.coming) & bit != 0 else { continue }
                found.append(
                    (
                        group.coming & bit != 0 ? 1 : 0,
                        group.levels[column], index, column
                    ))
            }
        }
        found.sort {
            ($1.coming, $1.level, $1.index, $1.column)
                < ($0.coming, $0.level, $0.index, $0.column)
        }
        return found.prefix(count).map { ($0.index, $0.column) }
    }

    private mutating func letGo(_ index: Int, _ column: Int) -> Action {
        guard let group = groups[index] else {
            preconditionFailure("a shard that goes is one of a group that is there")
        }
        let bit = UInt64(1) << UInt64(column)
        let isComing = group.coming & bit != 0
        used -= group.length
        if isComing { takesUnderWay -= 1 } else { shardsDropped += 1 }
        groups[index]?.held &= ~bit
        groups[index]?.coming &= ~bit
        groups[index]?.heldSince[column] = nil
        dirty.insert(index)
        return isComing ? .abandon(group.shard(column)) : .drop(group.shard(column))
    }

    /// How much better all is if this donor has one shard in the place of another: the sum over
    /// shards of 1 - 4^(-level).
    private func gain(
        of wanted: Int, at target: Int, for dropped: Int, at source: Int, now: Instant
    ) -> Double {
        guard let to = groups[target], let from = groups[source] else { return 0 }
        let (take, drop) = (UInt64(1) << UInt64(wanted), UInt64(1) << UInt64(dropped))
        if target == source {
            return worth(to, mine: to.mine & ~drop | take, now: now)
                - worth(to, mine: to.mine, now: now)
        }
        return worth(to, mine: to.mine | take, now: now) - worth(to, mine: to.mine, now: now)
            + worth(from, mine: from.mine & ~drop, now: now)
            - worth(from, mine: from.mine, now: now)
    }

    /// The worth of a group's shards if this node keeps some of them.
    private func worth(_ group: Group, mine: UInt64, now: Instant) -> Double {
        let demand = group.demand(now: now, halfLife: rules.demandSeconds)
        let own = Self.unit / max(1, mine.nonzeroBitCount)
        var sum = 0.0
        for column in 0..<group.n {
            let weight = group.weights[column] + (mine >> UInt64(column) & 1 == 1 ? own : 0)
            let level = Self.level(weight, demand: demand)
            sum += 1 - exp2(-2 * Double(level) / Double(Self.unit))
        }
        return sum
    }
}
