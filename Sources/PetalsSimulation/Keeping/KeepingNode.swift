internal import PetalsCore
internal import PetalsTesting
internal import ShardFetch

/// One donor, or a publisher: its plan, and what its disk has.
final class KeepingNode {
    /// A shard on its way.
    struct Take {
        let way: DonationPlan.Way
        /// Parts that came.
        var done = 0
        /// Of the part that is coming: those that are asked, and the parcels that have not come.
        var sources: Set<Int> = []
        var open: Set<Int> = []
    }

    let number: Int
    let catalogue: Int
    let kind: Int
    let isPublisher: Bool
    let peer: DonationPlan.Peer
    let quota: Int
    var plan: DonationPlan
    /// When it comes and goes: of its own, so that all policies meet the same luck.
    var fate: SeededGenerator
    var isThere = true
    /// Counts comings and goings: what was under way before means nothing.
    var session = 0
    var thereSince: Instant = 0
    var thereSeconds: Instant = 0
    var held: Set<DonationPlan.Shard> = []
    var takes: [DonationPlan.Shard: Take] = [:]
    /// Other nodes that this one is connected with.
    var connected: Set<Int> = []
    /// What peers were told.
    var told: [DonationPlan.Blob: Set<ShardIndex>] = [:]
    var toldRoom: Int?
    /// When the plan is to be asked, as far as that is scheduled.
    var advancesAt = Instant.infinity
    var tellsAt = Instant.infinity
    var controlSent = 0
    var uploadedBefore = 0
    /// The same part of the time before as `uploadedBefore`.
    var thereBefore: Instant = 0

    init(
        _ number: Int, catalogue: Int, kind: Int, isPublisher: Bool, quota: Int, lineRate: Double,
        rules: DonationPlan.Rules, fate: SeededGenerator?, using generator: inout SeededGenerator
    ) {
        self.number = number
        self.catalogue = catalogue
        self.kind = kind
        self.isPublisher = isPublisher
        self.quota = quota
        self.fate = fate ?? SeededGenerator(seed: generator.next())
        peer = DonationPlan.Peer(generator.next())
        plan = DonationPlan(
            own: peer, secret: generator.next(), quota: quota, lineRate: lineRate, rules: rules)
    }
}
