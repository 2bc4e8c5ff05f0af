internal import PetalsCore

// What the keeper enters in one line for many answers: a meter has counted them.

extension CreditLedger {
    /// Bytes went to a peer that a meter had counted.
    ///
    /// - Parameter isSigned: whether the peer signs at all. Where it does not, no receipt of it is
    ///   ever late.
    mutating func gave(
        bytes: Int, _ mills: Mills, to peer: PeerID, isSigned: Bool, now: Instant, at seconds: Int
    ) {
        guard bytes > 0 || mills > .zero else { return }
        enter(peer, at: seconds, .gave(bytes: max(0, bytes), max(.zero, mills)))
        guard isSigned, mills > .zero, let account = accounts[peer] else { return }
        windows[peer]?.sent(
            account.given - account.writtenOff, step: Mills(bytes: Limits.leafBytes), now: now)
    }

    /// How much more a peer may be sent before it signs.
    ///
    /// Where nobody waits, a loss of earlier connections leaves at least what a stranger has: a
    /// reader that was killed must be able to come back, and what nobody wants is free.
    func room(for peer: PeerID, isContended: Bool, at seconds: Int) -> Mills {
        guard isOpen(peer) else { return .zero }
        let size = window(of: peer, isContended: isContended, at: seconds)
        let least = isContended ? .zero : rules.windowStart
        return max(size, least) - (accounts[peer]?.unsigned ?? .zero)
    }

    /// Terms by which a receipt is due before the window is full.
    ///
    /// Where others wait, a window can be smaller than the quantum that was told before; a peer
    /// that waited for that would sign every two seconds only.
    func reachableTerms(
        for peer: PeerID, isContended: Bool, at seconds: Int
    ) -> CreditTerms? {
        guard let terms = terms(for: peer, at: seconds) else { return nil }
        let size = max(
            room(for: peer, isContended: isContended, at: seconds)
                + (accounts[peer]?.unsigned ?? .zero), .zero
        ).bytesAtBasePrice
        let quantum = max(Limits.leafBytes, min(terms.quantum, size / 2))
        return CreditTerms(
            epoch: terms.epoch, price: terms.price, priceMax: terms.priceMax, quantum: quantum,
            window: max(terms.window, quantum))
    }

    private func isOpen(_ peer: PeerID) -> Bool { windows[peer]?.state == .open }
}
