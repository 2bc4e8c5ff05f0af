internal import Logging
internal import NIOPosix
internal import PetalsCodec
internal import PetalsCore
internal import Synchronization

// One hop: what a server owes a third that owes this node can pay for what this node wants there.
// All three are connected with each other, or nothing happens.

extension CreditKeeper {
    /// Seconds between two wishes of this node, and for which an answer is expected.
    static let wishSeconds: Instant = 10
    /// Peers that are asked at once: each has to keep a number for it, and most owe nothing there.
    static let wishesAtOnce = 2
    /// What is worth an assignment: a cell.
    static let leastWish = Mills(bytes: Limits.cellBytes)

    // MARK: As the beneficiary

    /// Asks those who owe this node for what they have at a server that it owes; once a while.
    ///
    /// A server that owes nothing, or that nothing came from lately, needs no paying.
    func wishForAssignments() {
        let (now, seconds) = (MonotonicClock.now, time())
        let wishes = change { state -> [(PeerConnection, Assignment)] in
            guard now - state.wishedAt >= Self.wishSeconds else { return [] }
            let wishes = state.wishes(of: identity.peerID, now: now, at: seconds)
            guard !wishes.isEmpty else { return [] }
            state.wishedAt = now
            let asked = wishes.reduce(Mills.zero) { $0 + $1.1.mills }
            for (id, meeting) in state.meetings
            where wishes.contains(where: { $0.1.debtor == meeting.connection.peerID }) {
                state.meetings[id]?.asked = asked
                state.meetings[id]?.askedUntil = now + Double(Limits.assignmentSecondsMax)
            }
            return wishes
        }
        for (connection, wish) in wishes { connection.send(.askAssignment(wish)) }
    }

    // MARK: As the creditor

    /// A peer that this node owes would like to have what another owes this node.
    func answer(_ wish: Assignment, from connection: PeerConnection) {
        guard wish.creditor == identity.peerID, wish.beneficiary == connection.peerID else {
            return
        }
        let seconds = time()
        let now = MonotonicClock.now
        let made = change { state -> (PeerConnection, Assignment)? in
            // Only a debtor that hears of it at once can take it over.
            let debtor = state.meetings.first { $0.value.connection.peerID == wish.debtor }
            guard let debtor, debtor.value.terms != nil else { return nil }
            state.enter(connection.id, now: now, at: seconds)
            state.enter(debtor.key, now: now, at: seconds)
            let assignment = state.ledger.offer(
                wish.mills, to: wish.beneficiary, at: wish.debtor, seconds: seconds)
            return assignment.map { (debtor.value.connection, $0) }
        }
        guard let (debtor, assignment) = made else { return }
        let signing = identity.signing
        whenKept { isKept in
            // A number that the disk does not know could be given again.
            if isKept { debtor.send(.assign(Signed(assignment, by: signing))) }
        }
    }

    // MARK: As the debtor

    /// A creditor gives away what this node owes it.
    func receive(_ assignment: SignedAssignment, from connection: PeerConnection) {
        guard assignment.statement.debtor == identity.peerID,
            assignment.statement.creditor == connection.peerID
        else { return }
        pool.submit { [self] poolState in
            guard case .active = poolState else { return }
            do throws(PetalsError) {
                take(try Verified(assignment, by: Ed25519Verifier()), from: connection)
            } catch {
                refuse(connection, error)
            }
        }
    }

    private func take(_ assignment: VerifiedAssignment, from connection: PeerConnection) {
        let (now, seconds) = (MonotonicClock.now, time())
        let beneficiary = assignment.statement.beneficiary
        let (reply, others) = change { state -> (AssignmentReply?, [PeerConnection]) in
            state.enter(connection.id, now: now, at: seconds)
            let reply = state.ledger.take(assignment, at: seconds)
            let ids = state.meetings.filter { $0.value.connection.peerID == beneficiary }.keys
            for id in ids + [connection.id] {
                state.allow(id, isContended: isContended, at: seconds)
            }
            return (reply, ids.compactMap { state.meetings[$0]?.connection })
        }
        guard let reply else { return }
        let signed = Signed(reply, by: identity.signing)
        whenKept { [self] isKept in
            guard isKept else { return }
            for receiver in [connection] + others { receiver.send(.assignReply(signed)) }
            for other in others { whenRoom(other) }
        }
    }

    // MARK: The answer

    /// A debtor says what it has taken over, to its former creditor or to its new one.
    func receive(_ reply: SignedAssignmentReply, from connection: PeerConnection) {
        guard reply.statement.debtor == connection.peerID else { return }
        pool.submit { [self] poolState in
            guard case .active = poolState else { return }
            do throws(PetalsError) {
                let verified = try Verified(reply, by: Ed25519Verifier())
                let (now, seconds) = (MonotonicClock.now, time())
                let isNews = change { state -> Bool in
                    let meeting = state.meetings[connection.id]
                    let asked = meeting.map { $0.askedUntil > now ? $0.asked : .zero } ?? .zero
                    return state.ledger.take(verified, asked: asked, at: seconds)
                }
                guard isNews else { return }
                logger.debug(
                    "\(reply.statement.accepted) at \(connection.peerID.label) changed hands")
                whenKept { _ in }
            } catch {
                refuse(connection, error)
            }
        }
    }
}

extension CreditKeeper.State {
    /// What to ask for, and whom.
    fileprivate func wishes(
        of own: PeerID, now: Instant, at seconds: Int
    ) -> [(PeerConnection, Assignment)] {
        // Above zero this node owes, below it is owed; only who signs at all can take part.
        let balances = meetings.values.compactMap { meeting -> (Meeting, Mills)? in
            guard meeting.terms != nil,
                let account = ledger.account(of: meeting.connection.peerID, at: seconds)
            else { return nil }
            return (meeting, account.balance)
        }
        let debtors = balances.filter { $0.1 <= -CreditKeeper.leastWish }.sorted {
            ($0.1, $0.0.connection.id) < ($1.1, $1.0.connection.id)
        }
        let server = balances.filter { meeting, balance in
            balance >= CreditKeeper.leastWish
                && meeting.receivedAt.map { now - $0 < CreditKeeper.wishSeconds } ?? false
        }.max { ($0.1, $0.0.connection.id) < ($1.1, $1.0.connection.id) }
        guard let server else { return [] }
        return debtors.prefix(CreditKeeper.wishesAtOnce).compactMap { debtor, owed in
            Assignment(
                creditor: debtor.connection.peerID, beneficiary: own,
                debtor: server.0.connection.peerID, serial: 0, mills: min(-owed, server.1),
                expiry: 0
            ).map { (debtor.connection, $0) }
        }
    }

    private typealias Meeting = CreditKeeper.Meeting
}
