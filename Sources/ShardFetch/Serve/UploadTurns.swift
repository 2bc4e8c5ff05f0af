package import PetalsCore

/// Whose turn it is among peers that wait for this node.
///
/// The one place where that is decided. Three tiers share what leaves: peers with funds have all
/// but the newcomers' pool, in proportion to what they gave; newcomers have the pool, each network
/// the same part of it and each peer the same part of its network's; and what neither wants is for
/// those who owe too much or pay nothing. What a tier does not want goes to the others.
///
/// The pool is for all newcomers together, since names are free: a grant for each name would be a
/// grant for whoever makes up most of them. A peer with a thousand requests has no more than one
/// with one, and who was away does not save up (`FairTurns`).
package struct UploadTurns: Sendable {
    /// What newcomers together have of an uplink that is contended.
    package static let poolShare = 0.05

    private var tiers = FairTurns<CreditStanding.Tier>()
    private var funded = FairTurns<PeerID>()
    private var networks = FairTurns<String>()
    private var newcomers: [String: FairTurns<PeerID>] = [:]
    private var idle = FairTurns<PeerID>()

    package init() {}

    /// Says who waits, for whatever.
    package mutating func look(at waiting: [UploadPlan.Waiting]) {
        tiers.look(at: waiting.lazy.map(\.standing.tier).filter { $0 != .idle })
        funded.look(at: waiting.lazy.filter { $0.standing.tier == .funded }.map(\.peer))
        idle.look(at: waiting.lazy.filter { $0.standing.tier == .idle }.map(\.peer))
        let strangers = waiting.filter { $0.standing.tier == .newcomer }
        networks.look(at: strangers.lazy.map(\.standing.group))
        for (group, members) in Dictionary(grouping: strangers, by: \.standing.group) {
            newcomers[group]?.look(at: members.lazy.map(\.peer))
        }
    }

    /// The tier whose turn it is among those of some who wait; nil where nobody does.
    package func tier(of waiting: [UploadPlan.Waiting]) -> CreditStanding.Tier? {
        let present = Set(waiting.map(\.standing.tier))
        let sharing = [CreditStanding.Tier.funded, .newcomer].filter(present.contains)
        guard let first = sharing.min(by: { tiers.start(of: $0) < tiers.start(of: $1) }) else {
            return present.contains(.idle) ? .idle : nil
        }
        return first
    }

    /// Whose turn it is among some of one tier; nil where there are none.
    ///
    /// Of equals, the first is taken.
    package func next(of waiting: [UploadPlan.Waiting]) -> UploadPlan.Waiting? {
        guard let tier = waiting.first?.standing.tier else { return nil }
        switch tier {
        case .funded:
            return waiting.min { funded.start(of: $0.peer) < funded.start(of: $1.peer) }
        case .idle:
            return waiting.min { idle.start(of: $0.peer) < idle.start(of: $1.peer) }
        case .newcomer:
            let first = waiting.min {
                networks.start(of: $0.standing.group) < networks.start(of: $1.standing.group)
            }
            let group = first?.standing.group
            let members = waiting.filter { $0.standing.group == group }
            guard let group, let turns = newcomers[group] else { return members.first }
            return members.min { turns.start(of: $0.peer) < turns.start(of: $1.peer) }
        }
    }

    /// A peer was sent something.
    package mutating func sent(_ bytes: Int, to peer: PeerID, as standing: CreditStanding) {
        let most = 2 * Limits.peersMax
        switch standing.tier {
        case .funded:
            tiers.gave(bytes, to: .funded, weight: 1 - Self.poolShare)
            funded.gave(bytes, to: peer, weight: Double(standing.weight.rawValue))
            funded.trim(above: most)
        case .idle:
            idle.gave(bytes, to: peer, weight: 1)
            idle.trim(above: most)
        case .newcomer:
            tiers.gave(bytes, to: .newcomer, weight: Self.poolShare)
            networks.gave(bytes, to: standing.group, weight: 1)
            networks.trim(above: most)
            newcomers[standing.group, default: .init()].gave(bytes, to: peer, weight: 1)
            newcomers[standing.group]?.trim(above: most)
            if newcomers.count > most { newcomers = newcomers.filter { !$0.value.isEven } }
        }
    }
}
