internal import Glibc
package import PetalsCore

/// Who has a shard, as far as this node can tell, and what a KiB of it is worth to it because of
/// that.
///
/// The multiplier is paid by whoever downloads, out of its own balance, so what it believes is its
/// own affair: a holder counts that it verified itself within a day, or of which two sources in
/// different networks told it. Hiding holders, or calling a shard rare, can cost it the fourfold
/// at most; selling rarity to oneself moves one's own credit from one name to another.
package struct RarityBook: Sendable {
    /// A shard of a blob.
    package struct Shard: Hashable, Sendable {
        package let blob: BlobID
        package let index: ShardIndex

        package init(_ blob: BlobID, _ index: ShardIndex) {
            self.blob = blob
            self.index = index
        }
    }

    private struct Holder {
        var verifiedAt: Int?
        /// Networks whose peers told of it, and when they did last.
        var told: [String: Int] = [:]

        func counts(after seconds: Int) -> Bool {
            if let verifiedAt, verifiedAt > seconds { return true }
            return told.values.count { $0 > seconds } >= 2
        }
    }

    /// Seconds for which what was verified or told counts.
    package static let believedSeconds = 86_400
    /// Holders of a shard from which on it is not rare: where the wanted number is unknown.
    package static let holdersWanted = 3
    /// Holders of one shard that are kept, and sources of one of them: far more than matter.
    static let holdersMax = 64
    static let sourcesMax = 4
    /// Shards that are kept.
    static let shardsMax = 1 << 16

    private var holders: [Shard: [PeerID: Holder]] = [:]

    package init() {}

    // MARK: What is learnt

    /// A peer gave a leaf of a shard that was the right one.
    package mutating func verified(_ peer: PeerID, has shard: Shard, at seconds: Int) {
        note(peer, shard, at: seconds) { $0.verifiedAt = max($0.verifiedAt ?? 0, seconds) }
    }

    /// A peer in some network said that another has a shard.
    package mutating func told(
        of peer: PeerID, has shard: Shard, by network: String, at seconds: Int
    ) {
        note(peer, shard, at: seconds) { holder in
            if holder.told.count >= Self.sourcesMax, holder.told[network] == nil { return }
            holder.told[network] = max(holder.told[network] ?? 0, seconds)
        }
    }

    /// A peer does not have a shard that it claimed.
    package mutating func refuted(_ peer: PeerID, _ shard: Shard) {
        holders[shard]?[peer] = nil
    }

    private mutating func note(
        _ peer: PeerID, _ shard: Shard, at seconds: Int, _ change: (inout Holder) -> Void
    ) {
        if holders[shard] == nil, holders.count >= Self.shardsMax {
            trim(at: seconds)
            guard holders.count < Self.shardsMax else { return }
        }
        if holders[shard]?[peer] == nil, holders[shard]?.count ?? 0 >= Self.holdersMax { return }
        change(&holders[shard, default: [:]][peer, default: Holder()])
    }

    private mutating func trim(at seconds: Int) {
        let after = seconds - Self.believedSeconds
        for (shard, known) in holders {
            let left = known.filter { $0.value.counts(after: after) }
            holders[shard] = left.isEmpty ? nil : left
        }
    }

    // MARK: What follows

    /// Holders of a shard that count.
    package func count(of shard: Shard, at seconds: Int) -> Int {
        let after = seconds - Self.believedSeconds
        return holders[shard]?.values.count { $0.counts(after: after) } ?? 0
    }

    /// Mills for 1 KiB: what this node pays for a shard at most, and asks for it at most.
    package func price(
        of shard: Shard, wanted: Int = holdersWanted, at seconds: Int
    ) -> Int {
        Self.price(holders: count(of: shard, at: seconds), wanted: wanted)
    }

    /// Mills for 1 KiB of what so many have: the root of how many times too few they are.
    package static func price(holders: Int, wanted: Int) -> Int {
        let factor = sqrt(Double(max(wanted, 1)) / Double(max(holders, 1)))
        let price = (Double(CreditTerms.basePrice) * min(max(factor, 1), 4)).rounded()
        return min(Int(price), CreditTerms.highestPrice)
    }

    /// What is paid where one asks a price and the other pays another at most.
    package static func agreed(ask: Int, offer: Int) -> Int {
        min(max(0, ask), max(0, offer), CreditTerms.highestPrice)
    }
}
