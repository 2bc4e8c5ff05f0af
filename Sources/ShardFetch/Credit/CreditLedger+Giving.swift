package import PetalsCore

// What this node gives: promised, sent, receipted, or given up.

extension CreditLedger {
    /// What a receipt meant.
    package enum ReceiptOutcome: Hashable, Sendable {
        /// The peer owes more than before.
        case counted
        /// Nothing new: an older one, or the same again.
        case stale
        /// A newer one that says less: it breaks a promise, and does not count.
        case fallen
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
    /// much may be on its way; a loss of earlier connections leaves what a stranger has then, since
    /// a reader that was killed must be able to come back.
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
        return max(isContended ? .zero : rules.windowStart, size - lost)
    }

    /// How much more a peer may be sent before it signs; below zero where it has had too much.
    package func room(for peer: PeerID, isContended: Bool, at seconds: Int) -> Mills {
        guard windows[peer]?.state == .open else { return .zero }
        return window(of: peer, isContended: isContended, at: seconds)
            - (accounts[peer]?.unsigned ?? .zero)
    }

    /// Bytes went to a connected peer: what was posted to its meter since the last time.
    ///
    /// - Parameters:
    ///   - mills: what they cost.
    ///   - reserved: what is promised to answers that are not on their way yet.
    ///   - isSigned: whether the peer signs at all. Where it does not, no receipt of it is ever
    ///     late.
    package mutating func post(
        bytes: Int, _ mills: Mills, reserved: Mills, to peer: PeerID, isSigned: Bool, now: Instant,
        at seconds: Int
    ) {
        windows[peer]?.reserved = reserved
        guard bytes > 0 else { return }
        enter(peer, at: seconds, .gave(bytes: bytes, mills))
        guard isSigned, mills > .zero, let account = accounts[peer] else { return }
        windows[peer]?.sent(
            account.given - account.writtenOff, step: Mills(bytes: Limits.leafBytes), now: now)
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
        if let known = known?.statement, receipt.sequence > known.sequence,
            receipt.mills < known.mills || receipt.bytes < known.bytes
        {
            violated(peer, at: seconds)
            return .fallen
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
    /// A receipt is due before the window is full. Where others wait, that can be smaller than a
    /// quantum that was told before; a peer that waited for that would sign every two seconds only.
    ///
    /// - Parameter priceMax: mills for 1 KiB of the rarest that this node has.
    package func terms(
        for peer: PeerID, priceMax: Int = CreditTerms.highestPrice, isContended: Bool,
        at seconds: Int
    ) -> CreditTerms? {
        let open = window(of: peer, isContended: false, at: seconds).bytesAtBasePrice
        let window = min(max(open, Limits.leafBytes), Limits.requestedBytesPerPeerMax)
        let least = self.window(of: peer, isContended: isContended, at: seconds).bytesAtBasePrice
        // One half is signed while the other is on its way.
        let quantum = max(Limits.leafBytes, min(window / 2, rules.quantumMax, least / 2))
        return CreditTerms(
            epoch: epoch, priceMax: priceMax, quantum: quantum, window: max(window, quantum))
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
