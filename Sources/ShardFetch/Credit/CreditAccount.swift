package import PetalsCore

/// What one node's books say of one peer.
///
/// The columns only grow, but for `writtenOff`, and together they make the balance:
///
///     balance = received - (given - writtenOff) + assignedIn - assignedOut + forgotten
///
/// A balance above zero is what this node owes the peer, and the peer can spend.
package struct CreditAccount: Hashable, Sendable {
    /// What a receipt of this node's has to say now.
    package struct Debt: Hashable, Sendable {
        /// The peer's epoch, in which this node counts.
        package internal(set) var epoch: UInt32 = 0
        package internal(set) var bytes = 0
        package internal(set) var mills = Mills.zero
        /// Numbers up to this one are put aside; after a crash counting goes on behind it.
        package internal(set) var sequenceReserved = 0
    }

    package let peer: PeerID
    /// The network that it was met in last: IPv4 /24 or IPv6 /48; empty where none is known.
    package internal(set) var group: String
    /// Seconds since 1970.
    package internal(set) var firstSeen: Int
    package internal(set) var lastSeen: Int
    /// The hour up to which balance, gross and loss have been forgetting.
    package internal(set) var hour: Int

    /// What this node owes the peer; below zero, what the peer owes.
    package internal(set) var balance = Mills.zero
    /// What the peer itself gave this node, the older the less.
    package internal(set) var gross = Mills.zero
    /// What was sent, never receipted and written off, the older the less.
    package internal(set) var lost = Mills.zero

    /// Verified bytes of the peer's, at what they cost.
    package internal(set) var received = Mills.zero
    package internal(set) var receivedBytes = 0
    /// Bytes sent to the peer, at what they cost.
    package internal(set) var given = Mills.zero
    package internal(set) var givenBytes = 0
    /// What of `given` nobody will pay any more.
    package internal(set) var writtenOff = Mills.zero
    package internal(set) var assignedIn = Mills.zero
    package internal(set) var assignedOut = Mills.zero
    /// What time took from the balance; of the other sign.
    package internal(set) var forgotten = Mills.zero

    /// The peer's newest receipt.
    package internal(set) var receipt: SignedReceipt?
    /// What this node owes in receipts.
    package internal(set) var debt = Debt()
    /// Whether a loss was booked because receipts stopped coming, and is not made good yet.
    package internal(set) var isInDefault = false
    /// Whether the peer signed two stories under one number.
    package internal(set) var hasEquivocated = false
    package internal(set) var violations = 0
    package internal(set) var violationAt = 0
    /// Assignments of the peer's that were used, with the moment at which each expires anyway.
    package internal(set) var serials: [Int: Int] = [:]
    /// The highest serial of this node's own assignments to the peer as a debtor.
    package internal(set) var serialIssued = 0

    init(_ peer: PeerID, group: String, at seconds: Int) {
        self.peer = peer
        self.group = group
        firstSeen = seconds
        lastSeen = seconds
        hour = Decay.hour(seconds)
    }

    /// What the peer's newest receipt says that it owes in all.
    package var signed: Mills { receipt?.statement.mills ?? .zero }

    /// What was sent and is neither receipted nor written off.
    package var unsigned: Mills { given - writtenOff - signed }

    // MARK: Changes

    /// Lets time pass up to a moment; time does not go back.
    mutating func pass(to seconds: Int, _ decays: CreditLedger.Decays) {
        lastSeen = max(lastSeen, seconds)
        let hours = Decay.hour(seconds) - hour
        guard hours > 0 else { return }
        hour += hours
        let left = decays.balance.applied(to: balance, hours: hours)
        forgotten += left - balance
        balance = left
        gross = decays.gross.applied(to: gross, hours: hours)
        lost = decays.loss.applied(to: lost, hours: hours)
    }

    /// The peer gave this node verified bytes.
    mutating func took(bytes: Int, _ mills: Mills) {
        received += mills
        receivedBytes = receivedBytes.clampedSum(bytes)
        balance += mills
        gross += mills
        makeGood(mills)
    }

    /// Bytes went to the peer.
    mutating func gave(bytes: Int, _ mills: Mills) {
        given += mills
        givenBytes = givenBytes.clampedSum(bytes)
        balance -= mills
    }

    /// The peer signed for more than before.
    ///
    /// Where it signed for more than the books have, these have forgotten something, and the
    /// signature counts; where it signed for what was written off, that is paid after all.
    mutating func sign(_ receipt: SignedReceipt) {
        self.receipt = receipt
        let more = Mills.zero - unsigned
        guard more > .zero else { return }
        let back = min(more, writtenOff)
        writtenOff -= back
        given += more - back
        balance -= more
        makeGood(more)
    }

    /// What was sent and will not be receipted is nobody's debt any more.
    mutating func writeOff(isDefault: Bool) {
        let gone = unsigned
        guard gone > .zero else { return }
        writtenOff += gone
        balance += gone
        lost += gone
        isInDefault = isInDefault || isDefault
    }

    private mutating func makeGood(_ mills: Mills) {
        lost = max(.zero, lost - mills)
        if lost == .zero { isInDefault = false }
    }

    // MARK: Checks

    /// What is wrong with the account; nil where nothing is.
    package var fault: String? {
        let sum =
            received - (given - writtenOff) + assignedIn - assignedOut + forgotten
        if sum != balance { return "the columns make \(sum) and the balance is \(balance)" }
        if unsigned < .zero { return "receipts are for \(-unsigned) more than was given" }
        if gross < .zero || lost < .zero || writtenOff < .zero { return "a sum is below zero" }
        return nil
    }
}

extension Int {
    /// The sum with a number that is not negative, or the largest number there is.
    func clampedSum(_ other: Int) -> Int {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
