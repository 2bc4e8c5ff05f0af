internal import Logging
internal import NIOPosix
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

extension CreditKeeper {
    /// Promises leaves of a request; nothing while the connection has to sign first.
    ///
    /// Every leaf that was promised is posted, or given back with `void`.
    func reserve(
        _ request: ControlMessage.LeafRequest, on connection: PeerConnection
    ) -> Int {
        let isContended = isContended
        return connection.credit.reserve(
            leaves: request.leaves.count, price: Self.price(of: request), isContended: isContended
        ) {
            let (now, seconds) = (MonotonicClock.now, time())
            change { state in
                state.enter(connection.id, now: now, at: seconds)
                state.allow(connection.id, isContended: isContended, at: seconds)
            }
        }
    }

    /// Leaves that were promised are not sent.
    func void(_ request: ControlMessage.LeafRequest, on connection: PeerConnection) {
        connection.credit.void(leaves: request.leaves.count, price: Self.price(of: request))
    }

    /// The leaves of a request are on their way: the peer owes for them, and their blob has earned.
    func post(
        _ request: ControlMessage.LeafRequest, of blob: BlobID, on connection: PeerConnection
    ) {
        let leaves = request.leaves.count
        connection.credit.post(leaves: leaves, price: Self.price(of: request))
        let bytes = leaves * Limits.leafBytes
        blobs.withLock { blobs in
            var row = blobs[blob] ?? CreditBlobRow(blob: blob)
            row.givenBytes += bytes
            row.given += Mills(bytes: bytes, price: Self.price(of: request))
            blobs[blob] = row
        }
    }

    /// Mills for 1 KiB that a request pays.
    static func price(of request: ControlMessage.LeafRequest) -> Int {
        request.price ?? CreditTerms.basePrice
    }

    /// What the peers behind some connections may expect of a contended uplink.
    func standings(of connections: [PeerConnection]) -> [PeerConnection.ID: CreditStanding] {
        let seconds = time()
        return state.withLock { state in
            var standings: [PeerConnection.ID: CreditStanding] = [:]
            for connection in connections {
                standings[connection.id] =
                    state.meetings[connection.id] == nil
                    ? .stranger(group: connection.creditGroup)
                    : state.ledger.standing(of: connection.peerID, at: seconds)
            }
            return standings
        }
    }

    // MARK: Receipts that come

    /// Checks a receipt on a worker, and counts it.
    func receive(_ receipt: SignedReceipt, from connection: PeerConnection) {
        guard receipt.statement.creditor == identity.peerID,
            receipt.statement.debtor == connection.peerID
        else {
            return refuse(
                connection,
                PetalsError(
                    .protocolViolation,
                    "peer \(connection.peerID.short) sent a receipt of somebody else"))
        }
        pool.submit { [self] poolState in
            guard case .active = poolState else { return }
            do throws(PetalsError) {
                take(try Verified(receipt, by: Ed25519Verifier()), from: connection)
            } catch {
                refuse(connection, error)
            }
        }
    }

    private func take(_ receipt: VerifiedReceipt, from connection: PeerConnection) {
        let (now, seconds) = (MonotonicClock.now, time())
        let outcome = change { state in
            // What was sent until now first: the receipt may speak of it.
            state.enter(connection.id, now: now, at: seconds)
            let outcome = state.ledger.take(receipt, now: now, at: seconds)
            state.allow(connection.id, isContended: isContended, at: seconds)
            return outcome
        }
        switch outcome {
        case .counted:
            retellTerms(connection)
            whenRoom.withLock { $0 }?(connection)
            keepInTime()
        case .stale, .foreign: break
        case .equivocation:
            whenKept { _ in }
            logger.warning(
                """
                peer \(connection.peerID.short) signed two different receipts with one number; it \
                has no credit here any more, and both are kept
                """)
        }
    }

    /// Tells a peer terms that have changed.
    func retellTerms(_ connection: PeerConnection) {
        let seconds = time()
        let terms = change {
            $0.tellTerms(connection.id, isContended: isContended, at: seconds)
        }
        if let terms { connection.send(.terms(terms)) }
    }
}
