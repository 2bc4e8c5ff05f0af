internal import PetalsCore
internal import Synchronization

/// What leaves are worth to this node: the books of rarity and demand at work.
///
/// Asked for each request that goes out, and told of each frame that comes, so it does a look-up or
/// two under a lock of its own. In memory only: what was known before a restart is learnt again.
final class CreditPrices: Sendable {
    private struct State {
        var rarity = RarityBook()
        var demand = DemandBook()
    }

    private let state = Mutex(State())
    /// Seconds since 1970.
    private let time: @Sendable () -> Int

    init(time: @escaping @Sendable () -> Int) {
        self.time = time
    }

    /// Mills for 1 KiB that this node asks for at most: what one pays who knows of no holder but
    /// this.
    static let ask = RarityBook.price(holders: 1, wanted: RarityBook.holdersWanted)

    // MARK: What is learnt

    /// A peer gave a leaf of a shard that was the right one.
    func verified(_ peer: PeerID, has shard: RarityBook.Shard) {
        let seconds = time()
        state.withLock { $0.rarity.verified(peer, has: shard, at: seconds) }
    }

    /// A peer does not have a shard, or not any more.
    func refuted(_ peer: PeerID, _ shard: RarityBook.Shard) {
        state.withLock { $0.rarity.refuted(peer, shard) }
    }

    /// A peer was sent bytes of a group that it pays for.
    ///
    /// - Returns: whether that counts as demand.
    func sold(
        _ group: DemandBook.Group, to peer: PeerID, as standing: CreditStanding
    ) -> Bool {
        let seconds = time()
        return state.withLock { state in
            state.demand.sent(
                group, to: peer, standing: standing, price: CreditTerms.basePrice, at: seconds)
        }
    }

    // MARK: What follows

    /// Mills for 1 KiB that this node pays for a shard of which it knows too few holders; nil where
    /// that is the usual price.
    ///
    /// - Parameter ask: what the holder asks for at most.
    func price(of shard: RarityBook.Shard, ask: Int) -> Int? {
        // Who asks for no more, and who says nothing of credit, is not paid more.
        guard ask > CreditTerms.basePrice else { return nil }
        let seconds = time()
        let cap = state.withLock { $0.rarity.price(of: shard, at: seconds) }
        let price = RarityBook.agreed(ask: ask, offer: cap)
        return price > CreditTerms.basePrice ? price : nil
    }

    /// Mills for 1 KiB that is copied for others; nothing unless it is in demand here.
    func copyPrice(of group: DemandBook.Group) -> Int {
        let seconds = time()
        return state.withLock { $0.demand.replicationPrice(of: group, at: seconds) }
    }
}
