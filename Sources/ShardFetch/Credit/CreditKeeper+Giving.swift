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
        _ request: ControlMessage.LeafRequest, of blob: StoredBlob, on connection: PeerConnection
    ) {
        let (leaves, price) = (request.leaves.count, Self.price(of: request))
        connection.credit.post(leaves: leaves, price: price)
        let bytes = leaves * Limits.leafBytes
        blobs.withLock { blobs in
            var row = blobs[blob.id] ?? CreditBlobRow(blob: blob.id)
            row.givenBytes += bytes
            row.given += Mills(bytes: bytes, price: price)
            blobs[blob.id] = row
        }
        // Copies in demand are cheaper: that they are made is no demand.
        guard price >= CreditTerms.basePrice else { return }
        let shard = request.address.shard
        let sale = Sale(
            group: .init(blob.id, blob.geometry.group(of: shard)), shard: shard,
            buyer: connection.id)
        sales.withLock { $0[sale, default: 0] += bytes }
    }

    /// What one peer bought of one shard.
    struct Sale: Hashable {
        let group: DemandBook.Group
        let shard: ShardIndex
        let buyer: PeerConnection.ID
    }

    /// Notes what was sold to peers with funds: that is demand, and what others ask for is not.
    func noteSales() {
        let sold = sales.withLock { sales in
            defer { sales = [:] }
            return sales
        }
        guard !sold.isEmpty else { return }
        let seconds = time()
        let buyers = state.withLock { state in
            var buyers: [PeerConnection.ID: (peer: PeerID, standing: CreditStanding)] = [:]
            for id in Set(sold.keys.map(\.buyer)) {
                guard let peer = state.meetings[id]?.connection.peerID else { continue }
                buyers[id] = (peer, state.ledger.standing(of: peer, at: seconds))
            }
            return buyers
        }
        for (sale, bytes) in sold {
            guard let (peer, standing) = buyers[sale.buyer],
                prices.sold(sale.group, to: peer, as: standing)
            else { continue }
            demandWatcher((sale.group.blob, sale.shard, bytes))
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
                    "peer \(connection.peerID.label) sent a receipt of somebody else"))
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
            whenRoom(connection)
            keepInTime()
        case .stale, .foreign: break
        case .fallen:
            logger.warning(
                """
                peer \(connection.peerID.label) signed for less than it had signed for before; \
                that does not count
                """)
        case .equivocation:
            whenKept { _ in }
            logger.warning(
                """
                peer \(connection.peerID.label) signed two different receipts with one number; it \
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
