package import PetalsCore

// What this node receives, and what it signs for.

extension CreditLedger {
    /// Verified leaves came from a peer.
    ///
    /// - Parameters:
    ///   - price: mills for 1 KiB, as it was agreed; nothing for what is free.
    ///   - epoch: the peer's, from its terms.
    package mutating func received(
        bytes: Int, price: Int, from peer: PeerID, epoch: UInt32, now: Instant, at seconds: Int
    ) {
        received(
            bytes: bytes, Mills(bytes: bytes, price: price), from: peer, epoch: epoch, now: now,
            at: seconds)
    }

    /// Verified leaves came from a peer, at different prices.
    package mutating func received(
        bytes: Int, _ mills: Mills, from peer: PeerID, epoch: UInt32, now: Instant, at seconds: Int
    ) {
        guard bytes > 0 else { return }
        enter(peer, at: seconds, .took(bytes: bytes, mills, epoch: epoch))
        guard mills > .zero else { return }
        refresh(peer)
        if signing[peer]?.since == nil { signing[peer]?.since = now }
    }

    /// What the next receipt to a peer has to say, where one is due.
    ///
    /// The shell signs it and sends it, having written the journal; the ledger counts it as sent.
    ///
    /// - Parameters:
    ///   - quantum: bytes from which on a receipt is due, from the peer's terms; 0 has whatever
    ///     came receipted, as on connecting and before closing.
    /// - Returns: nil where none is due.
    package mutating func dueReceipt(
        to peer: PeerID, quantum: Int, now: Instant, at seconds: Int
    ) -> Receipt? {
        guard let debt = accounts[peer]?.debt else { return nil }
        refresh(peer)
        guard let signed = signing[peer]?.signed else { return nil }
        let more = debt.mills - signed
        let isOld = (signing[peer]?.since).map { now - $0 >= rules.receiptSeconds } ?? false
        guard more > .zero, isOld || more >= Mills(bytes: quantum) else { return nil }
        let sequence = (signing[peer]?.sequence ?? 0) + 1
        if sequence > debt.sequenceReserved {
            enter(
                peer, at: seconds,
                .sequences(through: sequence + rules.sequencesReserved - 1))
        }
        signing[peer]?.sequence = sequence
        signing[peer]?.signed = debt.mills
        signing[peer]?.since = nil
        return Receipt(
            debtor: own, creditor: peer, epoch: debt.epoch, sequence: sequence,
            bytes: debt.bytes, mills: debt.mills, time: max(0, seconds))
    }

    /// The peer shows a receipt that this node made: what it says, this node owes.
    ///
    /// - Returns: whether these books had forgotten some of it.
    package mutating func recall(_ verified: VerifiedReceipt, at seconds: Int) -> Bool {
        let receipt = verified.statement
        guard receipt.debtor == own, receipt.network == CreditTerms.network else { return false }
        let debt = accounts[receipt.creditor]?.debt ?? .init()
        guard
            receipt.epoch > debt.epoch || receipt.epoch == debt.epoch && receipt.mills > debt.mills
        else { return false }
        enter(
            receipt.creditor, at: seconds,
            .recalled(epoch: receipt.epoch, bytes: receipt.bytes, receipt.mills))
        refresh(receipt.creditor)
        // The books came from a time before: numbers that they do not know were used.
        let used = max(signing[receipt.creditor]?.sequence ?? 0, receipt.sequence)
        signing[receipt.creditor]?.sequence = used
        signing[receipt.creditor]?.signed = receipt.mills
        return true
    }

    /// Has the state of receipts fit the account's epoch.
    private mutating func refresh(_ peer: PeerID) {
        guard let debt = accounts[peer]?.debt else { return }
        if let known = signing[peer], known.epoch == debt.epoch { return }
        // Every number that was put aside may have been used before the start.
        let sequence = max(signing[peer]?.sequence ?? 0, debt.sequenceReserved)
        signing[peer] = Signing(epoch: debt.epoch, sequence: sequence)
    }
}
