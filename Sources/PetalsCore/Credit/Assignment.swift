/// A creditor gives a part of what one node owes it to a third: "count it for them".
///
/// Only claims change hands, and only those of the signer: a false one gives away its own.
package struct Assignment: CreditStatement {
    package let network: Digest
    /// Who has the claim, gives it away and signs.
    package let creditor: PeerID
    /// Who gets it.
    package let beneficiary: PeerID
    /// Who owes: to whom this is sent.
    package let debtor: PeerID
    /// The creditor's, never used twice for one debtor.
    package let serial: Int
    package let mills: Mills
    /// Seconds since 1970; at most `Limits.assignmentSecondsMax` ahead.
    package let expiry: Int

    /// What is signed in front of the fields.
    package static let domain = "petals-asgn-1"

    /// - Returns: nil where a number is negative or beyond `Limits.creditNumberMax`, or where two
    ///   of the three are one.
    package init?(
        network: Digest = CreditTerms.network, creditor: PeerID, beneficiary: PeerID,
        debtor: PeerID, serial: Int, mills: Mills, expiry: Int
    ) {
        let numbers = 0...Limits.creditNumberMax
        guard Set([creditor, beneficiary, debtor]).count == 3, numbers.contains(serial),
            numbers.contains(expiry), mills > .zero, mills <= .limit
        else { return nil }
        self.network = network
        self.creditor = creditor
        self.beneficiary = beneficiary
        self.debtor = debtor
        self.serial = serial
        self.mills = mills
        self.expiry = expiry
    }

    /// Who loses the claim.
    package var signer: PeerID { creditor }

    /// Domain, network, the three peers, and the numbers in the order above.
    package var signedBytes: [UInt8] {
        var fields = StatementBytes(
            domain: Self.domain, network: network, creditor, beneficiary, debtor)
        fields.append(serial)
        fields.append(Int(mills.rawValue))
        fields.append(expiry)
        return fields.bytes
    }
}

/// The debtor's answer to an assignment, to both others.
package struct AssignmentReply: CreditStatement {
    package let network: Digest
    package let creditor: PeerID
    package let beneficiary: PeerID
    /// Who answers and signs.
    package let debtor: PeerID
    /// That of the assignment.
    package let serial: Int
    /// How much of it now counts for the beneficiary; nothing where it was refused.
    package let accepted: Mills

    /// What is signed in front of the fields.
    package static let domain = "petals-asck-1"

    /// - Returns: nil as for `Assignment`; zero is an amount here.
    package init?(
        network: Digest = CreditTerms.network, creditor: PeerID, beneficiary: PeerID,
        debtor: PeerID, serial: Int, accepted: Mills
    ) {
        guard Set([creditor, beneficiary, debtor]).count == 3,
            (0...Limits.creditNumberMax).contains(serial), accepted >= .zero, accepted <= .limit
        else { return nil }
        self.network = network
        self.creditor = creditor
        self.beneficiary = beneficiary
        self.debtor = debtor
        self.serial = serial
        self.accepted = accepted
    }

    /// Who takes the claim over.
    package var signer: PeerID { debtor }

    /// Domain, network, the three peers, and the numbers in the order above.
    package var signedBytes: [UInt8] {
        var fields = StatementBytes(
            domain: Self.domain, network: network, creditor, beneficiary, debtor)
        fields.append(serial)
        fields.append(Int(accepted.rawValue))
        return fields.bytes
    }
}
