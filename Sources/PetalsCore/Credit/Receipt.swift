//
// Credit: who owes whom for bytes.
//
// A node that receives bytes owes for them, and says so in a receipt: a sum of all that it has
// received from one other node, signed with its identity. There is nothing else to have: no coin,
// no balance that a third party keeps, no claim that its debtor has not signed.
//
//   Mills             an amount; arithmetic that never traps
//   Receipt           debtor to creditor: what I have had of you in all, in this epoch
//   Assignment        a creditor to its debtor: count so much of what you owe me for a third
//   AssignmentReply   the debtor's answer: so much of it I have taken over
//   CreditTerms       a server to whoever asks: the epoch, the price, when receipts are due
//   CreditBalance     either to the other on connecting: what my books say, and your last receipt
//   Signed, Verified  a statement as it travels; a statement whose signature was checked
//
// What is signed has a domain of its own, names the network and all peers concerned and has fields
// of fixed width, so that no signature fits another use. The rules that give these their meaning
// are in ShardFetch/Credit; this room only says what they are.
//

/// What a debtor has received of one creditor in all, in one epoch of the creditor.
///
/// It only grows: the newest says all that the earlier ones said.
package struct Receipt: CreditStatement {
    /// `CreditTerms.network`; a receipt of another network means nothing.
    package let network: Digest
    /// Who received and signs.
    package let debtor: PeerID
    /// Who sent.
    package let creditor: PeerID
    /// The creditor's, from its `CreditTerms`.
    package let epoch: UInt32
    /// Counts the receipts of the epoch from 1.
    package let sequence: Int
    /// Verified bytes since the epoch began.
    package let bytes: Int
    /// What they cost.
    package let mills: Mills
    /// Seconds since 1970, by the debtor's clock; for people only.
    package let time: Int

    /// What is signed in front of the fields.
    package static let domain = "petals-rcpt-1"

    /// - Returns: nil where a number is negative or beyond `Limits.creditNumberMax`, or where one
    ///   peer would owe itself.
    package init?(
        network: Digest = CreditTerms.network, debtor: PeerID, creditor: PeerID, epoch: UInt32,
        sequence: Int, bytes: Int, mills: Mills, time: Int
    ) {
        let numbers = 0...Limits.creditNumberMax
        guard debtor != creditor, numbers.contains(sequence), numbers.contains(bytes),
            numbers.contains(time), mills >= .zero, mills <= .limit
        else { return nil }
        self.network = network
        self.debtor = debtor
        self.creditor = creditor
        self.epoch = epoch
        self.sequence = sequence
        self.bytes = bytes
        self.mills = mills
        self.time = time
    }

    /// Who owes for what it received.
    package var signer: PeerID { debtor }

    /// Domain, network, both peers, and the numbers in the order above.
    package var signedBytes: [UInt8] {
        var fields = StatementBytes(
            domain: Self.domain, network: network, debtor, creditor)
        fields.append(epoch)
        fields.append(sequence)
        fields.append(bytes)
        fields.append(Int(mills.rawValue))
        fields.append(time)
        return fields.bytes
    }
}
