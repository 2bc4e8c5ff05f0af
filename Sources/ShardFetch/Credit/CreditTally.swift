package import PetalsCore

/// What of a connection's meter is in the books: the one way from the one to the other.
///
/// A shell has one for each connection beside its ledger, and changes both under one lock.
package struct CreditTally: Sendable {
    package let peer: PeerID
    package let meter: CreditMeter
    private(set) var entered = CreditMeter.Sums()

    /// Makes the tally of a connection on which nothing has passed.
    package init(_ peer: PeerID, meter: CreditMeter = .init()) {
        self.peer = peer
        self.meter = meter
    }

    /// Enters what was counted since the last time.
    ///
    /// - Parameter epoch: the peer's, from its terms.
    /// - Returns: whether anything was received.
    @discardableResult
    package mutating func enter(
        in ledger: inout CreditLedger, epoch: UInt32, now: Instant, at seconds: Int
    ) -> Bool {
        let sums = meter.sums
        ledger.post(
            bytes: sums.givenBytes - entered.givenBytes, Mills(sums.given - entered.given),
            reserved: Mills(sums.reserved), to: peer, isSigned: meter.isSpeaking, now: now,
            at: seconds)
        let bytes = sums.receivedBytes - entered.receivedBytes
        ledger.received(
            bytes: bytes, Mills(sums.received - entered.received), from: peer, epoch: epoch,
            now: now, at: seconds)
        entered = sums
        return bytes > 0
    }

    /// Tells the meter how much more may be sent.
    package func allow(by ledger: CreditLedger, isContended: Bool, at seconds: Int) {
        let room = ledger.room(for: peer, isContended: isContended, at: seconds)
        meter.allow(room, beyond: entered.given)
    }
}
