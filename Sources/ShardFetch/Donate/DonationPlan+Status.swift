/// What a donor does, for people.
extension DonationPlan {
    /// A group of which not every shard can be named a peer of its own.
    package struct ThinGroup: Hashable, Sendable {
        package let blob: Blob
        /// The group's number in the blob.
        package let group: Int
        /// Shards of the group, and how many of them give all others.
        package let shards: Int
        package let needed: Int
        /// Shards that somebody has.
        package let available: Int
        /// Shards that can each be named a peer of its own that keeps it: as many peers may fail,
        /// less those that are needed.
        package let spread: Int
    }

    /// Groups that are less than fully redundant, the worst first.
    package func thinGroups() -> [ThinGroup] {
        groups.compactMap { group -> ThinGroup? in
            guard let group else { return nil }
            let spread = spread(of: group)
            guard spread < group.n else { return nil }
            return ThinGroup(
                blob: group.blob, group: group.first / group.n, shards: group.n, needed: group.k,
                available: group.available.nonzeroBitCount, spread: spread)
        }.sorted {
            ($0.available - $0.needed, $0.spread - $0.needed, $0.blob, $0.group)
                < ($1.available - $1.needed, $1.spread - $1.needed, $1.blob, $1.group)
        }
    }

    /// Groups that are known.
    package var groupCount: Int { groups.reduce(0) { $0 + ($1 == nil ? 0 : 1) } }

    /// Shards that are held because of this plan.
    package var heldShards: Int {
        groups.reduce(0) { $0 + ($1?.held.nonzeroBitCount ?? 0) }
    }

    /// Shards that can each be named a peer of its own, this node among them: a largest matching.
    private func spread(of group: Group) -> Int {
        var keepers = group.views.sorted { $0.key < $1.key }.compactMap { peer, view -> UInt64? in
            guard peers[peer]?.isTrusted == true else { return nil }
            let kept = view.claimed & view.pledged
            return kept == 0 ? nil : kept
        }
        keepers.append(group.held | group.kept)
        var keeperOf: [Int: Int] = [:]
        func place(_ keeper: Int, _ seen: inout UInt64) -> Bool {
            for column in 0..<group.n where keepers[keeper] >> UInt64(column) & 1 == 1 {
                let bit = UInt64(1) << UInt64(column)
                guard seen & bit == 0 else { continue }
                seen |= bit
                if let other = keeperOf[column], !place(other, &seen) { continue }
                keeperOf[column] = keeper
                return true
            }
            return false
        }
        return keepers.indices.reduce(0) { count, keeper in
            var seen: UInt64 = 0
            return count + (place(keeper, &seen) ? 1 : 0)
        }
    }
}
