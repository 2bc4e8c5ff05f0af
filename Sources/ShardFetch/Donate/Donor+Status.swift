internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

/// What a donor does, for `petalsfs status`.
package struct DonationStatus: Sendable, Codable {
    /// A group that is less than fully redundant.
    package struct Group: Sendable, Codable {
        package let blob: String
        package let group: Int
        /// Shards of the group.
        package let shards: Int
        /// Shards that give all others.
        package let needed: Int
        /// Shards that this node or a peer has.
        package let available: Int
        /// Shards that can each be named a peer of its own that keeps it and has proved that it
        /// has something.
        package let spread: Int
    }

    /// A shard that is on its way.
    package struct Shard: Sendable, Codable {
        package let blob: String
        package let shard: Int
        /// Bytes of it that are here.
        package let here: Int
        /// Bytes of it.
        package let length: Int
    }

    /// Bytes that are given, and those of them that this node may choose shards for.
    package let given: Int
    package let quota: Int
    /// Bytes of the shards that were chosen, those on their way included.
    package let used: Int
    /// Shards that were chosen and are here.
    package let shards: Int
    package let coming: [Shard]
    /// Blobs and groups to choose from.
    package let blobs: Int
    package let groups: Int
    /// Groups that are less than fully redundant, and the worst of them.
    package let thinCount: Int
    package let thin: [Group]
    /// Checks of peers since the start, and those that were passed.
    package let audits: Int
    package let auditsPassed: Int
    /// Shards since the start that nobody had and this node made again.
    package let rebuilt: Int
    package let dropped: Int
}

extension Donor {
    /// Groups that a status names.
    private static let groupsNamed = 16

    /// What the donor does; answers from memory.
    package func status() -> DonationStatus {
        let given = givenBytes
        let (plan, sessions, coming) = state.withLock { state in
            (state.plan, state.sessions, Array(state.work.keys) + state.waiting.map(\.shard))
        }
        func name(_ blob: DonationPlan.Blob) -> String { sessions[blob]?.id.hex ?? "" }
        let thin = plan.thinGroups()
        return DonationStatus(
            given: given, quota: plan.quota, used: plan.used, shards: plan.heldShards,
            coming: coming.sorted().compactMap { shard in
                guard let session = sessions[shard.blob] else { return nil }
                let length = session.geometry.shardLength(shard.index)
                let here = session.stored.holdings(of: shard.index).count * Limits.cellBytes
                return DonationStatus.Shard(
                    blob: session.id.hex, shard: shard.index.rawValue, here: min(here, length),
                    length: length)
            },
            blobs: sessions.count, groups: plan.groupCount, thinCount: thin.count,
            thin: thin.prefix(Self.groupsNamed).map {
                DonationStatus.Group(
                    blob: name($0.blob), group: $0.group, shards: $0.shards, needed: $0.needed,
                    available: $0.available, spread: $0.spread)
            },
            audits: plan.auditsAsked, auditsPassed: plan.auditsPassed,
            rebuilt: plan.shardsRebuilt, dropped: plan.shardsDropped)
    }
}
