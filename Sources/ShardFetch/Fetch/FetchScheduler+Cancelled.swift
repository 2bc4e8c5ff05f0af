package import PetalsCore

// What was asked of one peer and came from another first. Its sender may have sent it before it
// heard of that, and is owed for what it was asked for; without this, whoever is hedged against
// would wait for a receipt that never comes.

extension FetchScheduler {
    /// What a request asked for that was cancelled, and might have been sent by then.
    package func cancelledExpectation(
        _ request: UInt32, from peer: Peer
    ) -> (key: CellKey, leaves: LeafSet)? {
        guard let found = cancelled[request], found.peer == peer, !found.leaves.isEmpty
        else { return nil }
        return (found.key, found.leaves)
    }

    /// Leaves of a request came, and were verified, that was cancelled meanwhile.
    ///
    /// - Returns: how many of them had not come before, for which their sender is owed.
    package mutating func arrivedLate(_ request: UInt32, leaves came: LeafSet) -> Int {
        guard let found = cancelled[request] else { return 0 }
        let leaves = came.intersection(found.leaves)
        cancelled.change(request) { $0.leaves = found.leaves.subtracting(leaves) }
        return leaves.count
    }
}
