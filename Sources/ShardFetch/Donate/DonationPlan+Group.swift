internal import Foundation
internal import PetalsCore

extension DonationPlan {
    /// What one peer says of the shards of one group; bits are columns.
    struct View: Sendable {
        /// What it has whole.
        var whole: UInt64 = 0
        /// What it keeps or gets in order to keep it.
        var pledged: UInt64 = 0
        /// What it was asked for in vain.
        var refuted: UInt64 = 0
        /// What it proved to have.
        var proved: UInt64 = 0
        var provedAt: Instant = 0
        /// When it last pledged something.
        var pledgedAt: Instant = 0

        /// What it says that it has, as far as it was not found out.
        var claimed: UInt64 { whole & ~refuted }
    }

    /// One group of a blob: what is known of its shards, and what follows.
    struct Group: Sendable {
        let blob: Blob
        /// The number of the group's first shard.
        let first: Int
        let n: Int
        let k: Int
        /// Bytes of each shard.
        let length: Int
        /// What the order of nodes depends on.
        let salt: UInt64
        var views: [Peer: View] = [:]
        /// Held because of the plan, on their way, and held for another reason.
        var held: UInt64 = 0
        var coming: UInt64 = 0
        var kept: UInt64 = 0
        /// When a peer last pledged a shard of the group.
        var pledgedAt = -Instant.infinity
        /// Since when a shard is wanted, or nobody has it.
        var since: [Instant]
        var heldSince: [Int: Instant] = [:]
        var failures: [Int: (count: Int, retryAt: Instant)] = [:]
        private var demand = 0.0
        private var demandAt: Instant = 0

        // What follows from the above (`look`).

        /// The weight of other peers at each shard, in `unit`s a peer.
        private(set) var weights: [Int]
        /// The same, less for shards that are asked for (`level`).
        private(set) var levels: [Int]
        /// Shards that somebody can give, this node among them.
        private(set) var available: UInt64 = 0
        /// Shards that a peer is getting, and nobody has.
        private(set) var pledged: UInt64 = 0
        /// Shards that this donor may take.
        private(set) var wanted: UInt64 = 0
        /// How rare the rarest wanted shards are: quarters of a copy.
        private(set) var rarity = Int.max
        /// The rarest wanted shards.
        private(set) var rare: UInt64 = 0
        /// When time alone changes any of that.
        private(set) var expiresAt = Instant.infinity
        private var hasBeenSeen = false

        init(_ blob: Blob, _ id: BlobID, _ geometry: BlobGeometry, _ group: Int, now: Instant) {
            self.blob = blob
            n = geometry.groupShards
            k = geometry.dataShards
            first = group * n
            length = geometry.shardLength(ShardIndex(first))
            let words = id.words
            salt = DonationPlan.mix(words.0 ^ DonationPlan.mix(words.1 &+ UInt64(group)))
            since = Array(repeating: now, count: n)
            weights = Array(repeating: 0, count: n)
            levels = weights
        }

        /// All of the group that this node keeps or is getting.
        var mine: UInt64 { held | coming | kept }

        /// Shards that can be had, beyond those that are needed to make all others.
        var slack: Int { available.nonzeroBitCount - k }

        /// The shards of some columns.
        func shards(of columns: UInt64) -> [ShardIndex] {
            (0..<n).filter { columns >> UInt64($0) & 1 == 1 }.map { ShardIndex(first + $0) }
        }

        /// A shard of the group.
        func shard(_ column: Int) -> Shard { Shard(blob, ShardIndex(first + column)) }

        /// What the order of nodes for a shard goes by; the highest comes first.
        func rank(_ peer: Peer, _ column: Int) -> UInt64 {
            DonationPlan.mix(peer.rawValue ^ DonationPlan.mix(salt &+ UInt64(column)))
        }

        // MARK: Demand

        mutating func addDemand(_ copies: Double, now: Instant, halfLife: Instant) {
            demand = demand(now: now, halfLife: halfLife) + copies
            demandAt = now
        }

        /// Readings of the group that were seen, the older ones counting less.
        func demand(now: Instant, halfLife: Instant) -> Double {
            demand * exp2(-max(0, now - demandAt) / max(1, halfLife))
        }

        // MARK: Looking

        /// Works out what follows from what peers say.
        mutating func look(_ plan: DonationPlan, now: Instant) {
            let before = (available: available, wanted: wanted, weights: weights)
            weigh(plan, now: now)
            let demand = demand(now: now, halfLife: plan.rules.demandSeconds)
            let target = Int(plan.rules.copiesTarget * Double(DonationPlan.unit))
            for column in 0..<n {
                levels[column] = DonationPlan.level(weights[column], demand: demand)
            }
            wanted = 0
            (rarity, rare) = (.max, 0)
            let canRebuild = available.nonzeroBitCount >= k
            for column in 0..<n {
                let bit = UInt64(1) << UInt64(column)
                let isHere = available & bit != 0
                let fall = before.weights[column] - weights[column]
                if !isHere && before.available & bit != 0 || 2 * fall >= DonationPlan.unit {
                    since[column] = now
                }
                guard mine & bit == 0, levels[column] < target,
                    isHere || canRebuild && pledged & bit == 0
                else { continue }
                wanted |= bit
                let isNew = before.wanted & bit == 0 && hasBeenSeen
                if isNew, isHere { since[column] = now }
                let quarters = 4 * levels[column] / DonationPlan.unit
                if quarters < rarity { (rarity, rare) = (quarters, 0) }
                if quarters == rarity { rare |= bit }
            }
            hasBeenSeen = true
        }

        /// Sums up what other peers hold.
        private mutating func weigh(_ plan: DonationPlan, now: Instant) {
            for column in 0..<n { weights[column] = 0 }
            available = held | kept
            pledged = 0
            expiresAt = .infinity
            let entries = views.compactMap { peer, view -> (UInt64, Int, Peer, View)? in
                guard let state = plan.peers[peer] else { return nil }
                switch state.standing(plan.rules, now: now) {
                case .believed(let end):
                    expiresAt = min(expiresAt, end)
                    let count = (view.claimed | view.pledged).nonzeroBitCount
                    return count == 0 ? nil : (state.domain, count, peer, view)
                case .doubted(let end):
                    expiresAt = min(expiresAt, end)
                    return nil
                }
            }.sorted { ($0.0, $0.1, $0.2) < ($1.0, $1.1, $1.2) }
            var domain: UInt64?
            var counted: UInt64 = 0
            for (peerDomain, _, _, view) in entries {
                if peerDomain != domain { (domain, counted) = (peerDomain, 0) }
                let end = view.pledgedAt + plan.rules.pledgeSeconds
                var open = view.pledged & ~view.claimed
                if open != 0, now < end { expiresAt = min(expiresAt, end) } else { open = 0 }
                let firm = view.claimed & view.pledged | open
                let loose = view.claimed & ~view.pledged
                let weight = DonationPlan.unit / max(1, (firm | loose).nonzeroBitCount)
                for column in 0..<n {
                    let bit = UInt64(1) << UInt64(column)
                    guard (firm | loose) & bit != 0 else { continue }
                    // Who did not say that he keeps it has read it, and goes with his mount.
                    var own = firm & bit != 0 ? weight : weight / 4
                    if counted & bit != 0 { own /= 8 }
                    weights[column] += own
                }
                counted |= firm | loose
                available |= view.claimed
                pledged |= open
            }
            pledged &= ~available
        }
    }

    /// How well a shard is provided for, given its weight and how often its group is read.
    ///
    /// The first copy counts the same for all, so that nothing is lost for what is read much; of
    /// what is read, more copies are needed beyond that: with fourfold demand twice as many.
    static func level(_ weight: Int, demand: Double) -> Int {
        guard weight > unit, demand > 0 else { return weight }
        return unit + Int(Double(weight - unit) / (1 + log2(1 + demand) / 2))
    }

    /// Spreads 64 bits so that each depends on all (SplitMix64's last step).
    static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value &+ 0x9e37_79b9_7f4a_7c15
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}
