package import PetalsCore

// What this node gives: promised, sent, receipted, or given up.

extension CreditLedger {
    /// What a receipt meant.
    package enum ReceiptOutcome: Hashable, Sendable {
        /// The peer owes more than before.
        case counted
        /// Nothing new: an older one, or the same again.
        case stale
        /// Of another epoch, another creditor or another network.
        case foreign
        /// Another story under the same number; both are in the journal as evidence.
        case equivocation
    }

    // MARK: Sending

    /// What may be at risk with a peer now.
    ///
    /// A stranger has a cell. Who signs in time has more with each receipt: up to what his line
    /// carries twice, and, where others wait for the uplink, to an eighth of his funds. Where
    /// nobody waits, the bytes would have been given to anybody, and the window bounds only how
    /// much may be on its way.
    package func window(of peer: PeerID, isContended: Bool, at seconds: Int) -> Mills {
        let account = account(of: peer, at: seconds)
        let lost = account?.lost ?? .zero
        guard let window = windows[peer], window.state == .open else { return .zero }
        var size = window.size
        if isContended || account?.isInDefault == true {
            let funds = account.map { self.funds(of: $0, at: seconds) } ?? .zero
            let part = max(funds, .zero).divided(by: rules.fundsPerWindow)
            size = min(size, max(part, rules.windowStart))
        }
        return max(.zero, size - lost)
    }

    /// Promises leaves to an answer, as many as the peer's window has room for.
    ///
    /// - Parameters:
    ///   - price: mills for 1 KiB; nothing is at risk of what is free.
    ///   - isContended: whether others wait for what this peer would get.
    /// - Returns: nil where there is no room for a leaf; a receipt makes some.
    package mutating func reserve(
        leaves: Int, price: Int, for peer: PeerID, isContended: Bool, now: Instant, at seconds: Int
    ) -> Reservation? {
        guard leaves > 0 else { return nil }
        open(peer, now: now, at: seconds)
        let each = Mills(bytes: Limits.leafBytes, price: price)
        var granted = leaves
        if each > .zero {
            let size = window(of: peer, isContended: isContended, at: seconds)
            let used =
                (accounts[peer]?.unsigned ?? .zero) + (windows[peer]?.reserved ?? .zero)
            let room = max(.zero, size - used).rawValue / each.rawValue
            granted = min(leaves, Int(clamping: room))
        } else if windows[peer]?.state != .open {
            return nil
        }
        guard granted > 0 else { return nil }
        reservationsMade += 1
        let reservation = Reservation(
            peer: peer, leaves: granted,
            mills: Mills(bytes: granted * Limits.leafBytes, price: price),
            number: reservationsMade)
        reservations[reservation.number] = reservation
        windows[peer]?.reserve(reservation.mills)
        return reservation
    }

    /// What was promised is on its way; the second time, or after `void`, nothing happens.
    package mutating func post(_ reservation: Reservation, now: Instant, at seconds: Int) {
        guard release(reservation) else { return }
        let bytes = reservation.leaves * Limits.leafBytes
        enter(reservation.peer, at: seconds, .gave(bytes: bytes, reservation.mills))
        guard reservation.mills > .zero, let account = accounts[reservation.peer] else { return }
        let step = Mills(bytes: Limits.leafBytes)
        windows[reservation.peer]?.sent(
            account.given - account.writtenOff, step: step, now: now)
    }

    /// What was promised is not sent.
    package mutating func void(_ reservation: Reservation) { _ = release(reservation) }

    private mutating func release(_ reservation: Reservation) -> Bool {
        guard reservations.removeValue(forKey: reservation.number) != nil else { return false }
        windows[reservation.peer]?.release(reservation.mills)
        return true
    }

    // MARK: Receipts

    /// Counts a receipt.
    ///
    /// The sum counts and not the order: what was replayed or overtaken says less than what is
    /// known, and changes nothing.
    package mutating func take(
        _ verified: VerifiedReceipt, now: Instant, at seconds: Int
    ) -> ReceiptOutcome {
        let receipt = verified.statement
        guard receipt.creditor == own, receipt.epoch == epoch,
            receipt.network == CreditTerms.network
        else { return .foreign }
        let peer = receipt.debtor
        let known = accounts[peer]?.receipt
        if let known, known.statement.sequence == receipt.sequence, known.statement != receipt {
            guard accounts[peer]?.hasEquivocated == false else { return .equivocation }
            enter(peer, at: seconds, .equivocated(known, verified.signed))
            return .equivocation
        }
        guard receipt.mills > known?.statement.mills ?? .zero else { return .stale }
        enter(peer, at: seconds, .receipted(verified.signed))
        let more = receipt.mills - (known?.statement.mills ?? .zero)
        guard
            windows[peer]?.receipted(receipt.mills, more: more, now: now, rules: rules) == true,
            let ceiling = windows[peer]?.ceiling(rules)
        else { return .counted }
        windows[peer]?.grow(to: ceiling)
        return .counted
    }

    /// What to tell a peer of epoch, price and receipts; again whenever the quantum has doubled.
    ///
    /// - Parameter priceMax: mills for 1 KiB of the rarest that this node has.
    package func terms(
        for peer: PeerID, priceMax: Int = CreditTerms.highestPrice, at seconds: Int
    ) -> CreditTerms? {
        let size = window(of: peer, isContended: false, at: seconds).bytesAtBasePrice
        let window = min(max(size, Limits.leafBytes), Limits.requestedBytesPerPeerMax)
        // A quarter is signed while the others are on their way; of a small one a half, since
        // signatures cost more than they carry.
        let quarter = max(window / 4, min(window / 2, Limits.cellBytes / 2))
        return CreditTerms(
            epoch: epoch, priceMax: priceMax, quantum: min(quarter, rules.quantumMax),
            window: window)
    }

    /// Looks for receipts that are late; to be called about once a second.
    package mutating func advance(now: Instant, at seconds: Int) -> [Action] {
        var actions: [Action] = []
        for peer in windows.keys.sorted() {
            guard windows[peer]?.look(now: now, rules: rules) == true else { continue }
            switch windows[peer]?.state {
            case .stopped: actions.append(.stop(peer))
            case .closed:
                enter(peer, at: seconds, .wroteOff(isDefault: true))
                actions.append(.close(peer))
            case .open, nil: break
            }
        }
        offers = offers.filter { $0.value.expiry > seconds }
        return actions
    }
}
