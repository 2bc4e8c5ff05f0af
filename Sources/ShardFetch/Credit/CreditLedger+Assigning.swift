package import PetalsCore

// One-hop liquidity: who is owed by one and owes another has the one owe the other.

extension CreditLedger {
    // MARK: As the debtor, who decides

    /// Takes over, on a creditor's word, a part of what this node owes it: for another from now on.
    ///
    /// Only balance moves, never a line, and never more than there is: whoever signs the same claim
    /// away twice gives away his own, once.
    ///
    /// - Returns: what to sign and to send to both, with nothing accepted where the assignment is
    ///   late, used, one too many in a minute, or not covered; nil where it is not for this node.
    package mutating func take(
        _ verified: VerifiedAssignment, at seconds: Int
    ) -> AssignmentReply? {
        let assignment = verified.statement
        guard assignment.debtor == own, assignment.network == CreditTerms.network else {
            return nil
        }
        var accepted = Mills.zero
        if isUsable(assignment, at: seconds) {
            let balance = account(of: assignment.creditor, at: seconds)?.balance ?? .zero
            let free = balance - (windows[assignment.creditor]?.reserved ?? .zero)
            accepted = max(.zero, min(assignment.mills, free))
        }
        if accepted > .zero {
            assignmentTimes[assignment.creditor, default: []].append(seconds)
            makeRoom(besides: [assignment.creditor, assignment.beneficiary], at: seconds)
            enter(
                assignment.creditor, at: seconds,
                .reassigned(
                    to: assignment.beneficiary, serial: assignment.serial, accepted,
                    expiry: assignment.expiry))
        }
        return AssignmentReply(
            creditor: assignment.creditor, beneficiary: assignment.beneficiary, debtor: own,
            serial: assignment.serial, accepted: accepted)
    }

    private mutating func isUsable(_ assignment: Assignment, at seconds: Int) -> Bool {
        let left = assignment.expiry - seconds
        guard left > 0, left <= Limits.assignmentSecondsMax,
            let account = accounts[assignment.creditor], !account.hasEquivocated,
            account.serials[assignment.serial] == nil
        else { return false }
        let recent = assignmentTimes[assignment.creditor, default: []].filter { $0 > seconds - 60 }
        assignmentTimes[assignment.creditor] = recent
        return recent.count < rules.assignmentsPerMinute
    }

    // MARK: As the creditor, who gives away

    /// Makes an assignment for a peer that this node owes, at one that owes this node.
    ///
    /// - Returns: nil where one of the two does not hold, or the peer had its ten in this minute.
    package mutating func offer(
        _ wanted: Mills, to beneficiary: PeerID, at debtor: PeerID, seconds: Int
    ) -> Assignment? {
        let owed = -(account(of: debtor, at: seconds)?.balance ?? .zero)
        let owing = account(of: beneficiary, at: seconds)?.balance ?? .zero
        let promised = offers.filter { $0.value.expiry > seconds }
        let promisedAt =
            promised.reduce(Mills.zero) { $0 + ($1.key.debtor == debtor ? $1.value.mills : .zero) }
        let promisedTo = promised.reduce(Mills.zero) {
            $0 + ($1.value.beneficiary == beneficiary ? $1.value.mills : .zero)
        }
        let mills = min(wanted, min(owed - promisedAt, owing - promisedTo))
        let recent = assignmentTimes[beneficiary, default: []].filter { $0 > seconds - 60 }
        guard mills > .zero, recent.count < rules.assignmentsPerMinute,
            let serial = accounts[debtor].map({ $0.serialIssued + 1 })
        else { return nil }
        let expiry = seconds + Limits.assignmentSecondsMax
        let assignment = Assignment(
            creditor: own, beneficiary: beneficiary, debtor: debtor, serial: serial, mills: mills,
            expiry: expiry)
        guard let assignment else { return nil }
        assignmentTimes[beneficiary] = recent + [seconds]
        enter(debtor, at: seconds, .issued(serial: serial))
        offers[Offer(debtor: debtor, serial: serial)] = (beneficiary, mills, expiry)
        return assignment
    }

    // MARK: The answer, at both others

    /// Books what a debtor has taken over.
    ///
    /// The creditor knows what it offered. The beneficiary has the debtor's signature, which may be
    /// that of the creditor's friend: it counts only as payment of what the creditor owes, so that
    /// no two of them can write each other credit.
    ///
    /// - Parameter asked: what this node asked the creditor for, as a beneficiary.
    /// - Returns: whether anything changed.
    package mutating func take(
        _ verified: VerifiedAssignmentReply, asked: Mills, at seconds: Int
    ) -> Bool {
        let reply = verified.statement
        guard reply.network == CreditTerms.network, reply.accepted > .zero else { return false }
        if reply.creditor == own {
            let offer = Offer(debtor: reply.debtor, serial: reply.serial)
            guard let known = offers[offer], known.beneficiary == reply.beneficiary,
                reply.accepted <= known.mills
            else { return false }
            offers[offer] = nil
            enter(reply.debtor, at: seconds, .spent(for: reply.beneficiary, reply.accepted))
            return true
        }
        guard reply.beneficiary == own else { return false }
        let owed = -(account(of: reply.creditor, at: seconds)?.balance ?? .zero)
        let gained = min(reply.accepted, min(asked, owed))
        guard gained > .zero else { return false }
        enter(reply.debtor, at: seconds, .gained(from: reply.creditor, gained))
        return true
    }
}
