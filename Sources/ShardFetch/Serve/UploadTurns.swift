package import PetalsCore

/// Whose turn it is among peers that wait for this node.
///
/// The one place where that is decided. Peers with funds have all but the newcomers' pool, in
/// proportion to what they gave, and what they do not want of it is for peers that gave and have
/// spent it, in the same way. Newcomers have the pool, each network the same part of it and each
/// peer the same part of its network's. What neither wants is for those who owe too much or pay
/// nothing. Nothing is left over while anybody waits.
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
        var (leastFunded, leastNetwork) = (Double.infinity, Double.infinity)
        var leastIdle = Double.infinity
        var leastOfGroup: [String: Double] = [:]
        for one in waiting {
            switch one.standing.tier {
            case .funded, .overdrawn: leastFunded = min(leastFunded, funded.start(of: one.peer))
            case .newcomer:
                let group = one.standing.group
                leastNetwork = min(leastNetwork, networks.start(of: group))
                guard let start = newcomers[group]?.start(of: one.peer) else { continue }
                leastOfGroup[group] = min(leastOfGroup[group] ?? .infinity, start)
            case .idle: leastIdle = min(leastIdle, idle.start(of: one.peer))
            }
        }
        funded.look(atLeast: leastFunded)
        networks.look(atLeast: leastNetwork)
        idle.look(atLeast: leastIdle)
        tiers.look(
            atLeast: min(
                leastFunded < .infinity ? tiers.start(of: .funded) : .infinity,
                leastNetwork < .infinity ? tiers.start(of: .newcomer) : .infinity))
        for (group, start) in leastOfGroup { newcomers[group]?.look(atLeast: start) }
    }

    /// The tier whose turn it is among those of some who wait; nil where nobody does.
    package func tier(of waiting: [UploadPlan.Waiting]) -> CreditStanding.Tier? {
        var first: CreditStanding.Tier?
        var hasNewcomer = false
        for one in waiting {
            switch one.standing.tier {
            case .funded: first = .funded
            case .overdrawn: first = first ?? .overdrawn
            case .newcomer: hasNewcomer = true
            case .idle: break
            }
        }
        guard hasNewcomer else { return first ?? (waiting.isEmpty ? nil : .idle) }
        guard let first else { return .newcomer }
        return tiers.start(of: .newcomer) < tiers.start(of: .funded) ? .newcomer : first
    }

    /// Whose turn it is among some of one tier; nil where there are none.
    ///
    /// Of equals, the first is taken.
    package func next(of waiting: [UploadPlan.Waiting]) -> UploadPlan.Waiting? {
        guard let tier = waiting.first?.standing.tier else { return nil }
        switch tier {
        case .funded, .overdrawn:
            return Self.least(of: waiting) { funded.start(of: $0.peer) }
        case .idle:
            return Self.least(of: waiting) { idle.start(of: $0.peer) }
        case .newcomer:
            let first = Self.least(of: waiting) { networks.start(of: $0.standing.group) }
            guard let group = first?.standing.group else { return nil }
            let members = waiting.filter { $0.standing.group == group }
            guard let turns = newcomers[group] else { return members.first }
            return Self.least(of: members) { turns.start(of: $0.peer) }
        }
    }

    private static func least(
        of waiting: [UploadPlan.Waiting], _ start: (UploadPlan.Waiting) -> Double
    ) -> UploadPlan.Waiting? {
        var least: (start: Double, waiting: UploadPlan.Waiting)?
        for one in waiting {
            let own = start(one)
            if own < least?.start ?? .infinity { least = (own, one) }
        }
        return least?.waiting
    }

    /// A peer was sent something.
    package mutating func sent(_ bytes: Int, to peer: PeerID, as standing: CreditStanding) {
        let most = 2 * Limits.peersMax
        switch standing.tier {
        case .funded, .overdrawn:
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
