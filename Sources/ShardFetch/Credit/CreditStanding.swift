package import PetalsCore

/// What a sender needs to know of a peer to say whose turn it is.
package struct CreditStanding: Hashable, Sendable {
    /// Which part of a contended uplink a peer has its share of.
    package enum Tier: Hashable, Sendable, CaseIterable {
        /// Has funds with this node: all but the newcomers' pool, by weight.
        case funded
        /// Has given, and has had more for it than that: what is left of the same part, by what it
        /// gave. An honest peer is here whenever it happened to ask more than it was asked, and
        /// must not fall among those who never gave anything.
        case overdrawn
        /// Has given nothing: the newcomers' pool, by network and then by peer.
        case newcomer
        /// Owes too much, or asks for nothing in return, as replication does: what nobody else
        /// wants.
        case idle
    }

    package let tier: Tier
    /// The share among peers of the first two tiers is in proportion to it.
    package let weight: Mills
    /// What the peer can have as one with funds; nothing for others.
    package let funds: Mills
    /// IPv4 /24 or IPv6 /48: who has many names in one has one share.
    package let group: String

    package init(tier: Tier, weight: Mills, funds: Mills, group: String) {
        self.tier = tier
        self.weight = max(weight, Mills(1))
        self.funds = funds
        self.group = group
    }

    /// A peer that the books know nothing of.
    package static func stranger(group: String) -> Self {
        Self(tier: .newcomer, weight: Mills(1), funds: .zero, group: group)
    }

    /// The same peer where it asks for what is free: replication uses what is idle.
    package var ofFreeRequest: Self {
        Self(tier: .idle, weight: weight, funds: .zero, group: group)
    }
}
