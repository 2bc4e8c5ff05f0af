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
    /// What a donor copies for others is free, and sent where nobody else wants anything: to pay
    /// for it would let whoever publishes what nobody needs be paid for its copies.
    static func price(
        of key: FetchScheduler.CellKey, bulk: Bool, in state: State
    ) -> Int? {
        guard bulk, let session = state.sessions[key.blob],
            session.rebuilds.load(ordering: .relaxed) > 0
        else { return nil }
        let isCopied = session.copied.withLock { $0.contains(key.address.shard) }
        let isForRebuild = state.scheduler.jobs[key]?.wanted.isEmpty == true
        return isCopied || isForRebuild ? 0 : nil
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
            credit.received(leaves: owed, of: session.id, price: price, from: connection)
        }
    }
}
