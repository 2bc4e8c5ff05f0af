internal import Glibc
package import PetalsCore

/// Who has a shard, as far as this node can tell, and what a KiB of it is worth to it because of
/// that.
///
/// The multiplier is paid by whoever downloads, out of its own balance, so what it believes is its
/// own affair: a holder counts that gave it a right leaf within a day, and nobody's word does.
/// Hiding holders, or calling a shard rare, can cost it the fourfold at most; selling rarity to
/// oneself moves one's own credit from one name to another.
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

    /// Seconds for which what was verified counts.
    package static let believedSeconds = 86_400
    /// Holders of a shard from which on it is not rare: where the wanted number is unknown.
    package static let holdersWanted = 3
    /// Seconds after which it is worth noting again.
    static let notedSeconds = 3600
    /// Holders of one shard that are kept: far more than matter.
    static let holdersMax = 64
    /// Shards that are kept.
    static let shardsMax = 1 << 16

    /// When each holder of a shard was verified last.
    private var holders: [Shard: [PeerID: Int]] = [:]

    package init() {}

    // MARK: What is learnt

    /// A peer gave a leaf of a shard that was the right one.
    ///
    /// - Complexity: O(1), and a look-up where it was noted within the hour.
    package mutating func verified(_ peer: PeerID, has shard: Shard, at seconds: Int) {
        let known = holders[shard]?[peer]
        if let known, seconds - known < Self.notedSeconds { return }
        if holders[shard] == nil, holders.count >= Self.shardsMax {
            trim(at: seconds)
            guard holders.count < Self.shardsMax else { return }
        }
        if known == nil, holders[shard]?.count ?? 0 >= Self.holdersMax { return }
        holders[shard, default: [:]][peer] = seconds
    }

    /// A peer does not have a shard that it claimed.
    package mutating func refuted(_ peer: PeerID, _ shard: Shard) {
        holders[shard]?[peer] = nil
    }

    private mutating func trim(at seconds: Int) {
        let after = seconds - Self.believedSeconds
        for (shard, known) in holders {
            let left = known.filter { $0.value > after }
            holders[shard] = left.isEmpty ? nil : left
        }
    }

    // MARK: What follows

    /// Holders of a shard that count.
    package func count(of shard: Shard, at seconds: Int) -> Int {
        let after = seconds - Self.believedSeconds
        return holders[shard]?.values.count { $0 > after } ?? 0
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
