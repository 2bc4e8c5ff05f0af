internal import PetalsCore

/// Whom to check, and when.
extension DonationPlan {
    /// Checks a peer soon.
    mutating func askSoon(_ peer: Peer, _ now: Instant) {
        peers[peer]?.asksAt = now
        auditsAt = min(auditsAt, now)
    }

    /// Sets the time of a peer's next check.
    ///
    /// - Parameter seconds: until then; nil for what its number of claims asks for.
    mutating func scheduleAudit(of peer: Peer, after seconds: Instant?, now: Instant) {
        guard let state = peers[peer] else { return }
        var wait = seconds ?? rules.auditSeconds
        if seconds == nil {
            let claims = state.groups.reduce(0) {
                $0 + (groups[$1]?.views[peer]?.claimed.nonzeroBitCount ?? 0)
            }
            wait = rules.auditSeconds * min(1, 100 / Double(max(1, claims)))
        }
        let at = now + max(rules.auditPause, wait)
        peers[peer]?.asksAt = at
        auditsAt = min(auditsAt, at)
    }

    /// The checks that are due.
    mutating func dueAudits(now: Instant) -> [Action] {
        guard now >= auditsAt else { return [] }
        var actions: [Action] = []
        auditsAt = .infinity
        for (peer, state) in peers.sorted(by: { $0.key < $1.key }) {
            if state.asksAt <= now, !state.isAsked {
                if let shard = chooseClaim(of: peer, state) {
                    actions.append(ask(peer, shard))
                } else {
                    scheduleAudit(of: peer, after: nil, now: now)
                }
            }
            if let asksAt = peers[peer]?.asksAt { auditsAt = min(auditsAt, asksAt) }
        }
        return actions
    }

    /// Has one shard of a peer checked.
    mutating func ask(_ peer: Peer, _ shard: Shard) -> Action {
        auditsAsked += 1
        peers[peer]?.isAsked = true
        peers[peer]?.asked &+= 1
        peers[peer]?.asksAt = .infinity
        return .audit(peer, shard)
    }

    /// One of the shards that a peer claims, which the peer cannot foresee.
    private func chooseClaim(of peer: Peer, _ state: PeerState) -> Shard? {
        guard !state.groups.isEmpty else { return nil }
        let random = Self.mix(secret ^ Self.mix(peer.rawValue &+ Self.mix(state.asked)))
        let start = Int(random >> 32) % state.groups.count
        for step in 0..<state.groups.count {
            let index = state.groups[(start + step) % state.groups.count]
            guard let group = groups[index], let claimed = group.views[peer]?.claimed,
                claimed != 0
            else { continue }
            let number = Int(random & 0xffff_ffff) % claimed.nonzeroBitCount
            let column = (0..<group.n).filter { claimed >> UInt64($0) & 1 == 1 }[number]
            return group.shard(column)
        }
        return nil
    }
}
