internal import NIOPosix
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

// What leaves cost. A price is agreed with the request: its sender pays it for each leaf that it
// asked for and that is right, and the holder counts the same.

extension FetchEngine {
    /// Mills for 1 KiB that a request offers; nil for the usual price.
    ///
    /// A shard of which this node has verified few holders is worth more to it, up to what the one
    /// that it asks wants for it.
    func price(
        of key: FetchScheduler.CellKey, bulk: Bool, at connection: PeerConnection, in state: State
    ) -> Int? {
        guard let session = state.sessions[key.blob] else { return connection.credit.offer }
        let shard = key.address.shard
        if bulk, Self.isCopy(key, session, in: state) {
            return credit.prices.copyPrice(
                of: .init(session.id, session.geometry.group(of: shard)))
        }
        return credit.prices.price(of: .init(session.id, shard), ask: connection.credit.ask)
            ?? connection.credit.offer
    }

    /// Whether a cell is copied for others: by hand, by a donor, or to rebuild what a donor keeps.
    ///
    /// That is free, and sent where nobody else wants anything: to pay for it would let whoever
    /// publishes what nobody needs be paid for its copies.
    private static func isCopy(
        _ key: FetchScheduler.CellKey, _ session: BlobSession, in state: State
    ) -> Bool {
        guard session.copies.load(ordering: .relaxed) > 0 else { return false }
        if session.isCopied(key.address.shard) { return true }
        return session.rebuilds.load(ordering: .relaxed) > 0
            && state.scheduler.jobs[key]?.wanted.isEmpty == true
    }

    /// What a holder asks for a shard that nobody else has.
    func noteAsk(_ price: Int, of connection: PeerConnection) {
        state.withLock { $0.scheduler.asks(connection.id, price) }
    }

    /// Pays for leaves that came after they were cancelled: their holder could not know.
    func payLate(
        _ header: DataHeader, proof: [Digest], bytes: [UInt8], from connection: PeerConnection
    ) {
        let came = LeafSet(header.leaves)
        let cancelled = state.withLock { state -> (BlobSession, CellAddress, Int?)? in
            guard
                let found = state.scheduler.cancelledExpectation(
                    header.request, from: connection.id),
                found.leaves.isSuperset(of: came), let session = state.sessions[found.key.blob]
            else { return nil }
            return (session, found.key.address, state.prices[header.request])
        }
        guard let (session, address, price) = cancelled else { return }
        pool.submit { [self] poolState in
            guard case .active = poolState,
                let layer = session.stored.layer(of: address.shard),
                layer.verify(
                    address: address, leaves: header.leaves, bytes: bytes, proof: proof,
                    leafCount: session.geometry.leafCount(address)) != nil
            else { return }
            let owed = state.withLock { state in
                state.scheduler.arrivedLate(header.request, leaves: came)
            }
            credit.received(
                leaves: owed, of: session.id, address.shard, price: price, from: connection)
        }
    }
}
