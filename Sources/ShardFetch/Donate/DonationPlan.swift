//
// Donating: disk and uplink given to models that others publish.
//
// A donor keeps shards that it cannot read, so that a model outlives its publisher. Nobody tells
// donors what to keep. Each looks at what the peers that it knows claim to hold, checks a sample of
// that, and takes what is rarest; so they spread over the shards by themselves, and make again what
// is lost.
//
//   DonationPlan    decides: what to take, what to drop, whom to check; a pure machine
//   ClaimAuditor    asks a peer for one leaf of what it claims, and checks it
//   Donor           the shell: tells the plan what peers say, fetches, rebuilds, drops
//
// Four ideas carry the plan.
//
// Count peers that can fail, not shards. A peer weighs 1 in each group, spread evenly over the
// shards of it that the peer keeps: a publisher with all 12 shards of a group adds 1/12 to each,
// since all twelve go when it goes. Peers of one network weigh little beside the first.
//
// One order for everybody. Which of the donors that could take a shard does, and which of those
// that keep it too often lets go, follows from hashes of (node, shard) that all can compute
// (rendezvous hashing). The first acts at once, the next waits a moment longer, and sees by then
// what the first did. So a lost shard is made once, though twelve donors saw it go.
//
// Every move makes the whole better by more than a margin. The worth of the shards of a group is
// the sum of 1 - 4^(-level), and the level grows with the weight, the slower the more its group is
// read; all donors compute the same sum, so a move that is good for one is
// good for all, and moves come to an end.
//
// The last copy is never dropped. A shard goes only for one that is worth more, and only if a peer
// that comes later in the order of letting go keeps it and has proved that; or because the
// quota was made smaller, which its owner may do.
//
package import PetalsCore

/// Decides what a donor holds: what it takes, what it drops, and whose claims it checks.
///
/// A value machine: events go in, `advance` gives the actions, and the shell around it (`Donor`)
/// carries them out. It reads no clock, does no I/O and draws no random numbers: what has to
/// surprise peers follows from the secret that it is made with.
///
/// An event costs O(1), but for a peer's coming and going, which costs the groups that it holds
/// something of. `advance` looks at groups of which something changed, and, once a second at most
/// and only while there is room or something to gain, at all groups.
package struct DonationPlan: Sendable {
    // MARK: Vocabulary

    /// Names a blob inside one plan.
    package struct Blob: Hashable, Comparable, Sendable {
        package let rawValue: Int

        package init(_ rawValue: Int) {
            self.rawValue = rawValue
        }

        package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
    }

    /// A shard of one of the blobs.
    package struct Shard: Hashable, Comparable, Sendable {
        package let blob: Blob
        package let index: ShardIndex

        package init(_ blob: Blob, _ index: ShardIndex) {
            self.blob = blob
            self.index = index
        }

        package static func < (a: Self, b: Self) -> Bool {
            (a.blob, a.index) < (b.blob, b.index)
        }
    }

    /// A node, by the first word of its peer id, which all nodes know it by.
    package struct Peer: Hashable, Comparable, Sendable {
        package let rawValue: UInt64

        package init(_ rawValue: UInt64) {
            self.rawValue = rawValue
        }

        /// The node of a peer id.
        package init(_ id: PeerID) {
            rawValue = id.words.0
        }

        package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
    }

    /// How the shell gets a shard.
    package enum Way: Hashable, Sendable {
        /// Some peer has it.
        case fetch
        /// Nobody has it: from k others of its group.
        case rebuild
    }

    /// What the shell is to do.
    package enum Action: Hashable, Sendable {
        /// Get a shard and keep it; ends with `took` or `failed`.
        case take(Shard, Way)
        /// Stop getting a shard; the plan counts it as gone already.
        case abandon(Shard)
        /// Delete a shard; the plan counts it as gone already.
        case drop(Shard)
        /// Ask a peer for a leaf of a shard that it claims; ends with `audited`.
        case audit(Peer, Shard)
    }

    /// What came of asking a peer for a leaf that it claims to have.
    package enum Verdict: Hashable, Sendable {
        /// It is the right one.
        case proved
        /// The peer does not have it.
        case refused
        /// Nothing came, or the peer was busy.
        case silent
        /// It is a wrong one.
        case lied
    }

    /// The numbers of the policy; simulations try others.
    package struct Rules: Hashable, Sendable {
        /// Independent copies of a shard, 1 for each peer that can fail, from which on it is common
        /// enough without demand; what is read is to have more (`level`).
        package var copiesTarget = 3.0
        /// Shards that are pledged and not here yet; the shell gets a few of them at a time.
        package var takesAtOnce = 8
        /// Seconds between a shard's turn of one donor and that of the next.
        package var turnSeconds: Instant = 2
        /// Seconds for which a blob, or a change of what peers hold, is looked at before anything
        /// is taken because of it.
        package var settleSeconds: Instant = 3
        /// Seconds after which a shard that nobody has is rebuilt while three more may be lost;
        /// half of that for each one fewer, twice for each one more.
        package var lossSeconds: Instant = 60
        /// The longest such wait: about as long as a node is away that comes back.
        package var lossSecondsMax: Instant = 600
        /// Seconds between the turns of donors that could let a shard go.
        package var dropTurnSeconds: Instant = 4
        /// Seconds for which a shard is kept at least.
        package var dwellSeconds: Instant = 60
        /// What a move has to be better by; a copy of a shard that nobody else has is worth 0.75.
        package var swapGain = 0.1
        /// Seconds for which a peer that says that it gets a shard is believed.
        package var pledgeSeconds: Instant = 900
        /// Seconds for which a new peer is believed before it has proved anything.
        package var trustSeconds: Instant = 10
        /// Seconds between two checks of a peer that claims 100 shards.
        package var auditSeconds: Instant = 600
        /// Seconds between two checks of one peer at least: 64 KiB a minute.
        package var auditPause: Instant = 15
        /// Seconds for which a proof lets a shard be dropped: a day.
        package var proofSeconds: Instant = 86_400
        /// Seconds for which a peer that claims what it does not have is not believed.
        package var distrustSeconds: Instant = 3600
        /// The part of the line that rebuilding may use while nothing is in danger.
        package var rebuildShare = 0.1
        /// Seconds of that share that can be used at once.
        package var rebuildBurstSeconds: Instant = 3600
        /// Seconds in which demand is worth half.
        package var demandSeconds: Instant = 86_400

        package init() {}
    }

    // MARK: State

    /// The weight of a peer in a group: divisible by 1 to 16, so that sums are exact.
    static let unit = 720_720
    /// Peers that are remembered as not to be believed.
    static let distrustedMax = 4096

    /// This node.
    package let own: Peer
    package var rules: Rules
    /// Bytes that may be held because of this plan.
    package internal(set) var quota: Int
    /// Bytes of shards that are held or on their way because of this plan.
    package internal(set) var used = 0
    /// Shards on their way.
    package internal(set) var takesUnderWay = 0
    /// Checks that were asked for, and those that were passed.
    package internal(set) var auditsAsked = 0
    package internal(set) var auditsPassed = 0
    /// Since the start: shards that nobody had and that were rebuilt, and bytes read for that.
    package internal(set) var shardsRebuilt = 0
    package internal(set) var shardsDropped = 0

    let secret: UInt64
    var groups: [Group?] = []
    var places: [Blob: Range<Int>] = [:]
    var peers: [Peer: PeerState] = [:]
    /// Peers that are donors with room for anything.
    var donors: Set<Peer> = []
    var distrusted: [Peer: Instant] = [:]
    /// Groups to be looked at again.
    var dirty: Set<Int> = []
    /// When time alone changes what a group looks like.
    var expiresAt = Instant.infinity
    /// When groups are compared again.
    var decidesAt = Instant.infinity
    var decidedAt = -Instant.infinity
    /// When a peer is to be checked again.
    var auditsAt = Instant.infinity
    /// Bytes that may be read for rebuilding, and when that was reckoned.
    var rebuildBytes: Double
    var rebuildReckonedAt: Instant = 0
    var lineRate: Double

    /// Makes the plan of a donor that holds nothing.
    ///
    /// - Parameters:
    ///   - secret: a random number that no peer knows.
    ///   - quota: bytes that may be held because of this plan.
    ///   - lineRate: bytes a second that this node's line carries.
    package init(
        own: Peer, secret: UInt64, quota: Int, lineRate: Double = 12.5e6, rules: Rules = .init()
    ) {
        self.own = own
        self.secret = secret
        self.quota = max(0, quota)
        self.lineRate = lineRate
        self.rules = rules
        rebuildBytes = lineRate * rules.rebuildShare * rules.rebuildBurstSeconds
    }

    /// Bytes that are left of the quota.
    package var room: Int { max(0, quota - used) }

    /// When `advance` is to be called again if nothing happens before.
    package var wakesAt: Instant {
        dirty.isEmpty ? min(expiresAt, decidesAt, auditsAt) : -.infinity
    }

    // MARK: Helpers

    /// The group of a shard, and the shard's bit in it.
    func place(_ shard: Shard) -> (index: Int, bit: UInt64)? {
        guard let range = places[shard.blob], let first = groups[range.lowerBound],
            shard.index.rawValue >= 0
        else { return nil }
        let (group, column) = shard.index.rawValue.quotientAndRemainder(dividingBy: first.n)
        guard group < range.count else { return nil }
        return (range.lowerBound + group, 1 << UInt64(column))
    }

    mutating func note(
        _ shard: Shard, now: Instant, _ change: (inout Group, _ bit: UInt64) -> Void
    ) {
        guard let (index, bit) = place(shard), var group = groups[index] else { return }
        groups[index] = nil
        change(&group, bit)
        groups[index] = group
        dirty.insert(index)
    }

    mutating func decideSoon(_ now: Instant) { decidesAt = min(decidesAt, now) }
}
