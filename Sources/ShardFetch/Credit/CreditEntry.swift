package import PetalsCore

/// One line of a node's journal of credit: what changed in its books, and when.
///
/// A ledger changes by these and by nothing else, so that a journal is the ledger: applied in order
/// to an empty one they make the same books.
package struct CreditEntry: Hashable, Sendable {
    /// What happened between this node and the entry's peer.
    package enum Change: Hashable, Sendable {
        /// The peer was met, in a network.
        case met(group: String)
        /// Bytes were sent to the peer.
        case gave(bytes: Int, Mills)
        /// Verified bytes came from the peer, in its epoch.
        case took(bytes: Int, Mills, epoch: UInt32)
        /// Numbers of receipts up to this one are put aside.
        case sequences(through: Int)
        /// The peer holds a receipt of this node's over more than these books know.
        case recalled(epoch: UInt32, bytes: Int, Mills)
        /// The peer's newest receipt.
        case receipted(SignedReceipt)
        /// Two receipts of the peer's under one number: kept as evidence.
        case equivocated(SignedReceipt, SignedReceipt)
        /// What was sent without a receipt is given up.
        case wroteOff(isDefault: Bool)
        /// The peer gave a part of this node's debt to it away.
        case reassigned(to: PeerID, serial: Int, Mills, expiry: Int)
        /// This node used a number for an assignment to the peer as a debtor.
        case issued(serial: Int)
        /// The peer, who owed this node, owes somebody else instead, to whom this node owed.
        case spent(for: PeerID, Mills)
        /// The peer owes this node what somebody else owed it.
        case gained(from: PeerID, Mills)
        /// The peer broke a promise.
        case violated
        /// The account was closed to make room.
        case evicted
    }

    package let peer: PeerID
    /// Seconds since 1970.
    package let at: Int
    package let change: Change

    package init(_ peer: PeerID, at seconds: Int, _ change: Change) {
        self.peer = peer
        at = seconds
        self.change = change
    }

    /// Whether the entry has to be on the disk before what follows from it leaves this node.
    ///
    /// Of all others a crash may take the last few seconds: the other side has them signed, or they
    /// are at most what may be at risk.
    package var isUrgent: Bool {
        switch change {
        case .met, .gave, .took, .recalled, .receipted, .wroteOff, .violated, .evicted: false
        case .sequences, .equivocated, .reassigned, .issued, .spent, .gained: true
        }
    }
}

extension CreditLedger {
    /// Replays one line of a journal.
    ///
    /// - Complexity: O(1), but for the hours that passed since the account was last looked at.
    package mutating func apply(_ entry: CreditEntry) {
        switch entry.change {
        case .evicted:
            close(entry.peer)
        case .reassigned(let beneficiary, let serial, let mills, let expiry):
            move(mills, from: entry.peer, to: beneficiary, at: entry.at)
            change(entry) { account in
                account.serials = account.serials.filter { $0.value > entry.at }
                account.serials[serial] = expiry
            }
        case .spent(let beneficiary, let mills):
            move(mills, from: beneficiary, to: entry.peer, at: entry.at)
        case .gained(let former, let mills):
            move(mills, from: entry.peer, to: former, at: entry.at)
        default:
            change(entry) { Self.change(&$0, by: entry) }
        }
    }

    /// Balance that one peer had is another's.
    private mutating func move(_ mills: Mills, from: PeerID, to: PeerID, at seconds: Int) {
        change(from, at: seconds) { account in
            account.assignedOut += mills
            account.balance -= mills
        }
        change(to, at: seconds) { account in
            account.assignedIn += mills
            account.balance += mills
        }
    }

    private static func change(_ account: inout CreditAccount, by entry: CreditEntry) {
        switch entry.change {
        case .met(let group):
            account.group = group
        case .gave(let bytes, let mills):
            account.gave(bytes: bytes, mills)
        case .took(let bytes, let mills, let epoch):
            account.count(epoch)
            account.debt.bytes = account.debt.bytes.clampedSum(bytes)
            account.debt.mills += mills
            account.took(bytes: bytes, mills)
        case .sequences(let through):
            account.debt.sequenceReserved = max(account.debt.sequenceReserved, through)
        case .recalled(let epoch, let bytes, let mills):
            account.count(epoch)
            let more = mills - account.debt.mills
            guard account.debt.epoch == epoch, more > .zero else { return }
            account.took(bytes: max(0, bytes - account.debt.bytes), more)
            account.debt.bytes = max(account.debt.bytes, bytes)
            account.debt.mills = mills
        case .receipted(let receipt):
            account.sign(receipt)
        case .equivocated:
            account.hasEquivocated = true
        case .wroteOff(let isDefault):
            account.writeOff(isDefault: isDefault)
        case .issued(let serial):
            account.serialIssued = max(account.serialIssued, serial)
        case .violated:
            account.violations += 1
            account.violationAt = entry.at
        case .reassigned, .spent, .gained, .evicted:
            break
        }
    }
}

extension CreditAccount {
    /// Counts in another epoch of the peer's from now on, if it is a later one.
    mutating func count(_ epoch: UInt32) {
        guard epoch > debt.epoch else { return }
        let reserved = debt.sequenceReserved
        debt = Debt()
        debt.epoch = epoch
        debt.sequenceReserved = reserved
    }
}
