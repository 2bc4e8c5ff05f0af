package import PetalsCore

// Peers that come and go, what both books say when they meet, and accounts that make room.

extension CreditLedger {
    /// A peer is connected: it has an account from now on, if there is room for one.
    package mutating func met(
        _ peer: PeerID, group: String, now: Instant, at seconds: Int
    ) {
        open(peer, now: now, at: seconds)
        guard accounts[peer]?.group != group else { return }
        enter(peer, at: seconds, .met(group: group))
    }

    mutating func open(_ peer: PeerID, now: Instant, at seconds: Int) {
        if accounts[peer] == nil { enter(peer, at: seconds, .met(group: "")) }
        guard windows[peer] == nil else { return }
        windows[peer] = RiskWindow(
            size: rules.windowStart, signed: accounts[peer]?.signed ?? .zero, now: now)
    }

    /// A peer is gone, with whatever was on its way; what was promised to it is not sent.
    package mutating func left(_ peer: PeerID, at seconds: Int) {
        windows[peer] = nil
        // The last receipt may have been lost with the connection: the next one has it, too.
        signing[peer]?.signed = .zero
    }

    /// What these books say, to be shown to a peer on connecting.
    package func balance(with peer: PeerID) -> CreditBalance? {
        let account = accounts[peer]
        let debt = account?.debt ?? .init()
        let given = account.map { $0.given - $0.writtenOff } ?? .zero
        guard
            let received = CreditBalance.Side(
                epoch: debt.epoch, bytes: debt.bytes, mills: debt.mills),
            let given = CreditBalance.Side(
                epoch: epoch, bytes: account?.givenBytes ?? 0, mills: given)
        else { return nil }
        return CreditBalance(received: received, given: given, receipt: account?.receipt)
    }

    /// Both have shown each other their newest receipts, and those were taken: what was sent on an
    /// earlier connection and is in none of them is given up, within what was at risk.
    ///
    /// To be called once on each connection, before anything is sent on it.
    package mutating func settle(_ peer: PeerID, at seconds: Int) {
        guard let account = accounts[peer], account.unsigned > .zero else { return }
        enter(peer, at: seconds, .wroteOff(isDefault: false))
    }

    /// A peer broke a promise: a receipt that it forged, leaves that were wrong, a claim that it
    /// did not keep.
    package mutating func violated(_ peer: PeerID, at seconds: Int) {
        enter(peer, at: seconds, .violated)
    }

    // MARK: Room

    /// Closes accounts where there are too many, a sixteenth of them at once: first those in which
    /// nothing stands, then those that owe, the longest unseen first.
    ///
    /// An account with funds, and one of a connected peer, stays.
    mutating func makeRoom(besides kept: [PeerID], at seconds: Int) {
        guard accounts.count + kept.count > rules.accountsMax else { return }
        let candidates = accounts.values.filter { account in
            windows[account.peer] == nil && !kept.contains(account.peer)
        }.map { account -> (peer: PeerID, isEmpty: Bool, owes: Bool, seen: Int) in
            var account = account
            account.pass(to: seconds, decays)
            let dust = rules.dust
            let isEmpty =
                account.balance < dust && account.balance > -dust && account.gross < dust
            let owes = funds(of: account, at: seconds) <= .zero
            return (account.peer, isEmpty, owes, account.lastSeen)
        }
        let leaving = candidates.filter { $0.isEmpty || $0.owes }.sorted {
            ($0.isEmpty ? 0 : 1, $0.seen, $0.peer) < ($1.isEmpty ? 0 : 1, $1.seen, $1.peer)
        }
        let enough = max(rules.accountsMax / 16, kept.count)
        for (peer, _, _, _) in leaving.prefix(enough) { enter(peer, at: seconds, .evicted) }
        guard accounts.count + kept.count > rules.accountsMax else { return }
        // All have funds: who was not seen for the longest time goes after all.
        let rest = candidates.filter { accounts[$0.peer] != nil }.sorted {
            ($0.seen, $0.peer) < ($1.seen, $1.peer)
        }
        for (peer, _, _, _) in rest.prefix(kept.count) { enter(peer, at: seconds, .evicted) }
    }
}
