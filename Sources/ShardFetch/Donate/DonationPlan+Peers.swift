package import PetalsCore

/// What peers are, say and prove.
extension DonationPlan {
    /// What is known of a connected peer.
    struct PeerState: Sendable {
        /// What fails together: peers of one network have one.
        let domain: UInt64
        /// Bytes that it has left as a donor; nil for a peer that is none.
        var room: Int?
        /// Groups of which it said something.
        var groups: [Int] = []
        /// When it first claimed a whole shard.
        var claimedAt: Instant?
        var isTrusted = false
        var doubtedUntil = -Instant.infinity
        /// Checks that came to nothing, one after the other.
        var silences = 0
        var refusals = 0
        /// Since when it is not answered yet.
        var isAsked = false
        var asksAt = Instant.infinity
        var asked: UInt64 = 0

        /// Whether a peer's claims count, and until when that is so.
        enum Standing {
            case believed(until: Instant)
            case doubted(until: Instant)
        }

        func standing(_ rules: Rules, now: Instant) -> Standing {
            if now < doubtedUntil { return .doubted(until: doubtedUntil) }
            guard !isTrusted, let claimedAt else { return .believed(until: .infinity) }
            // A new peer is believed for a moment, so that not all is fetched that it has.
            let end = claimedAt + rules.trustSeconds
            return now < end ? .believed(until: end) : .doubted(until: .infinity)
        }
    }

    /// A peer is connected.
    ///
    /// - Parameter domain: the same for peers that fail together, as those of one network.
    package mutating func peerOpened(_ peer: Peer, domain: UInt64, now: Instant) {
        guard peers[peer] == nil, peer != own else { return }
        var state = PeerState(domain: domain)
        if let until = distrusted[peer] { state.doubtedUntil = until }
        peers[peer] = state
    }

    /// A peer is not connected any more.
    package mutating func peerClosed(_ peer: Peer, now: Instant) {
        guard let state = peers.removeValue(forKey: peer) else { return }
        donors.remove(peer)
        for index in state.groups {
            groups[index]?.views[peer] = nil
            dirty.insert(index)
        }
    }

    /// A peer says whether it has a shard, whole.
    package mutating func claims(
        _ peer: Peer, _ shard: Shard, isWhole: Bool, now: Instant
    ) {
        let changed = change(peer, shard) { view, bit in
            guard (view.whole & bit != 0) != isWhole else { return false }
            if isWhole { view.whole |= bit } else { view.whole &= ~bit }
            view.proved &= ~bit
            return true
        }
        guard changed, isWhole, peers[peer]?.claimedAt == nil else { return }
        peers[peer]?.claimedAt = now
        askSoon(peer, now)
    }

    /// A peer says which shards of a blob it keeps or gets in order to keep them, and which no
    /// more.
    package mutating func pledges(
        _ peer: Peer, _ blob: Blob, adding added: [ShardIndex], removing removed: [ShardIndex],
        now: Instant
    ) {
        for index in added {
            let shard = Shard(blob, index)
            let changed = change(peer, shard) { view, bit in
                guard view.pledged & bit == 0 else { return false }
                view.pledged |= bit
                view.pledgedAt = now
                return true
            }
            if changed, let (index, _) = place(shard) { groups[index]?.pledgedAt = now }
        }
        for index in removed {
            _ = change(peer, Shard(blob, index)) { view, bit in
                guard view.pledged & bit != 0 else { return false }
                view.pledged &= ~bit
                return true
            }
        }
    }

    /// A peer says how many bytes it has left for donating; nil: it is no donor.
    package mutating func hasRoom(_ peer: Peer, _ bytes: Int?, now: Instant) {
        guard peers[peer] != nil, peers[peer]?.room != bytes else { return }
        peers[peer]?.room = bytes
        if bytes != nil { donors.insert(peer) } else { donors.remove(peer) }
    }

    /// Nothing is known any more of what a peer has of a blob, as its topic was left or joined
    /// anew.
    package mutating func forget(_ peer: Peer, _ blob: Blob) {
        guard let range = places[blob], peers[peer] != nil else { return }
        for index in range where groups[index]?.views.removeValue(forKey: peer) != nil {
            dirty.insert(index)
        }
        peers[peer]?.groups.removeAll { range.contains($0) }
    }

    /// A check of a peer is over.
    package mutating func audited(
        _ peer: Peer, _ shard: Shard, _ verdict: Verdict, now: Instant
    ) {
        guard var state = peers[peer] else { return }
        state.isAsked = false
        switch verdict {
        case .proved:
            auditsPassed += 1
            (state.silences, state.isTrusted) = (0, true)
            peers[peer] = state
            let lifetime = rules.proofSeconds
            _ = change(peer, shard) { view, bit in
                if now - view.provedAt > lifetime { view.proved = 0 }
                if view.proved == 0 { view.provedAt = now }
                view.proved |= bit
                return true
            }
        case .refused:
            peers[peer] = state
            // It may have let go of it, and said so since.
            let stillClaims = change(peer, shard) { view, bit in
                guard view.claimed & bit != 0 else { return false }
                view.refuted |= bit
                view.proved &= ~bit
                return true
            }
            if stillClaims {
                peers[peer]?.refusals += 1
                if state.refusals >= 1 { doubt(peer, for: rules.distrustSeconds, now: now) }
            }
        case .silent:
            state.silences += 1
            if state.silences >= 3 { (state.isTrusted, state.claimedAt) = (false, -.infinity) }
            peers[peer] = state
        case .lied:
            peers[peer] = state
            doubt(peer, for: 24 * rules.distrustSeconds, now: now)
        }
        // What is to be thought of all that the peer says may have changed.
        if verdict != .refused { dirty.formUnion(state.groups) }
        let isJudged = peers[peer]?.isTrusted == true
        scheduleAudit(of: peer, after: isJudged ? nil : 2 * rules.auditPause, now: now)
    }

    private mutating func doubt(_ peer: Peer, for seconds: Instant, now: Instant) {
        let until = now + seconds
        peers[peer]?.isTrusted = false
        peers[peer]?.doubtedUntil = until
        if distrusted.count >= Self.distrustedMax {
            distrusted = distrusted.filter { $0.value > now }
        }
        if distrusted.count < Self.distrustedMax { distrusted[peer] = until }
        dirty.formUnion(peers[peer]?.groups ?? [])
    }

    /// Changes what a peer says of a shard.
    ///
    /// - Returns: what `body` returned: whether anything is different now.
    @discardableResult
    private mutating func change(
        _ peer: Peer, _ shard: Shard, _ body: (inout View, _ bit: UInt64) -> Bool
    ) -> Bool {
        guard peers[peer] != nil, let (index, bit) = place(shard) else { return false }
        let isNew = groups[index]?.views[peer] == nil
        var view = groups[index]?.views[peer] ?? View()
        guard body(&view, bit) else { return false }
        groups[index]?.views[peer] = view
        if isNew { peers[peer]?.groups.append(index) }
        dirty.insert(index)
        return true
    }
}
