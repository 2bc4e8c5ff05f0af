import PetalsCore
import PetalsTesting
import ShardFetch
import Testing

/// Donors in virtual time: real plans, and around them a world in which messages take half a second
/// and every shard as long as its line needs.
///
/// All are connected with all. Once in a quarter of a second everything that is due happens, in the
/// order of the donors.
struct DonorSwarm {
    /// What a node that is no donor does.
    enum Kind: Hashable {
        case donor
        /// Has everything and keeps it.
        case seeder
        /// Says that it has everything, and gives nothing.
        case liar
    }

    struct Node {
        let peer: DonationPlan.Peer
        let kind: Kind
        var plan: DonationPlan
        var held: Set<DonationPlan.Shard> = []
        var coming: [DonationPlan.Shard: (way: DonationPlan.Way, end: Instant)] = [:]
        var told: [DonationPlan.Blob: Set<ShardIndex>] = [:]
        var toldRoom: Int?
        var isUp = true
        /// Bytes that others were asked for.
        var fetched = 0
    }

    struct Event {
        let at: Instant
        let node: Int
        let apply: (inout DonationPlan, Instant) -> Void
    }

    static let step: Instant = 0.25
    static let delay: Instant = 0.5

    var geometries: [BlobGeometry]
    let blobs: [(id: BlobID, blob: DonationPlan.Blob)]
    var nodes: [Node] = []
    var now: Instant = 1000
    var events: [Event] = []
    var rules = DonationPlan.Rules()
    /// Bytes a second of each donor.
    var rate = 20e6
    var takes = 0
    var drops = 0
    var log: [String] = []

    init(geometries: [BlobGeometry], seed: UInt64) {
        self.geometries = geometries
        var generator = SeededGenerator(seed: seed)
        blobs = geometries.indices.map { index in
            (
                Digest(
                    words: (
                        generator.next(), generator.next(), generator.next(), generator.next()
                    )), DonationPlan.Blob(index)
            )
        }
    }

    /// All shards of all blobs.
    var shards: [DonationPlan.Shard] {
        zip(blobs, geometries).flatMap { blob, geometry in
            geometry.shards.map { DonationPlan.Shard(blob.blob, $0) }
        }
    }

    func length(_ shard: DonationPlan.Shard) -> Int {
        geometries[shard.blob.rawValue].shardLength(shard.index)
    }

    /// Bytes of all shards once.
    var copyBytes: Int { shards.reduce(0) { $0 + length($1) } }

    // MARK: Coming and going

    mutating func join(
        _ kind: Kind, quota: Int = 0, seed: UInt64, holding: Set<DonationPlan.Shard> = []
    ) {
        let peer = DonationPlan.Peer(DonationPlanTests.mixed(seed))
        var plan = DonationPlan(
            own: peer, secret: DonationPlanTests.mixed(seed ^ 0xabcd), quota: quota, rules: rules)
        for (index, blob) in blobs.enumerated() {
            let held = holding.filter { $0.blob == blob.blob }.map(\.index).sorted()
            plan.add(
                blob.blob, id: blob.id, geometry: geometries[index], held: held, now: now)
        }
        var node = Node(peer: peer, kind: kind, plan: plan)
        node.held = kind == .seeder ? Set(shards) : holding
        nodes.append(node)
        connect(nodes.count - 1)
    }

    private mutating func connect(_ new: Int) {
        for other in nodes.indices where other != new && nodes[other].isUp {
            for (a, b) in [(new, other), (other, new)] {
                let peer = nodes[b].peer
                let claims = nodes[b].kind == .liar ? Set(shards) : nodes[b].held
                let told = nodes[b].told
                let pledged = nodes[b].kind == .donor ? told : all()
                let room = nodes[b].toldRoom
                send(to: a) { plan, now in
                    plan.peerOpened(peer, domain: peer.rawValue, now: now)
                    for (blob, shards) in pledged {
                        plan.pledges(peer, blob, adding: shards.sorted(), removing: [], now: now)
                    }
                    for shard in claims { plan.claims(peer, shard, isWhole: true, now: now) }
                    plan.hasRoom(peer, room, now: now)
                }
            }
        }
    }

    private func all() -> [DonationPlan.Blob: Set<ShardIndex>] {
        var all: [DonationPlan.Blob: Set<ShardIndex>] = [:]
        for shard in shards { all[shard.blob, default: []].insert(shard.index) }
        return all
    }

    mutating func leave(_ index: Int) {
        nodes[index].isUp = false
        let peer = nodes[index].peer
        for other in nodes.indices where nodes[other].isUp {
            send(to: other) { $0.peerClosed(peer, now: $1) }
        }
    }

    private mutating func send(
        to node: Int, _ apply: @escaping (inout DonationPlan, Instant) -> Void
    ) {
        events.append(Event(at: now + Self.delay, node: node, apply: apply))
    }

    // MARK: Time

    /// Lets time pass, until nothing happens any more or for so many seconds.
    mutating func run(seconds: Instant) {
        let end = now + seconds
        while now < end {
            now += Self.step
            let due = events.filter { $0.at <= now }
            events.removeAll { $0.at <= now }
            for event in due where nodes[event.node].isUp {
                event.apply(&nodes[event.node].plan, now)
            }
            for index in nodes.indices where nodes[index].isUp && nodes[index].kind == .donor {
                finish(index)
                if nodes[index].plan.wakesAt <= now {
                    for action in nodes[index].plan.advance(now: now) { perform(action, index) }
                }
                check(index)
                tell(index)
            }
        }
    }

    private mutating func perform(_ action: DonationPlan.Action, _ index: Int) {
        log.append("\(now) \(index) \(action)")
        switch action {
        case .take(let shard, let way):
            takes += 1
            let sources = way == .fetch ? 1 : geometries[shard.blob.rawValue].dataShards
            let seconds = Double(sources * length(shard)) / rate
            nodes[index].coming[shard] = (way, now + seconds)
        case .abandon(let shard): nodes[index].coming[shard] = nil
        case .drop(let shard):
            drops += 1
            nodes[index].held.remove(shard)
            tellClaim(shard, of: index, isWhole: false)
        case .audit(let peer, let shard):
            let asked = nodes.first { $0.peer == peer && $0.isUp }
            let verdict: DonationPlan.Verdict =
                asked.map { $0.held.contains(shard) ? .proved : .refused } ?? .silent
            send(to: index) { $0.audited(peer, shard, verdict, now: $1) }
        }
    }

    private mutating func finish(_ index: Int) {
        for (shard, take) in nodes[index].coming where take.end <= now {
            nodes[index].coming[shard] = nil
            let geometry = geometries[shard.blob.rawValue]
            let group = geometry.group(of: shard.index)
            let sources: Int
            switch take.way {
            case .fetch: sources = holders(of: shard).count
            case .rebuild:
                sources =
                    geometry.shards.filter {
                        geometry.group(of: $0) == group
                            && !holders(of: .init(shard.blob, $0)).isEmpty
                    }.count
            }
            if sources >= (take.way == .fetch ? 1 : geometry.dataShards) {
                nodes[index].fetched +=
                    length(shard) * (take.way == .fetch ? 1 : geometry.dataShards)
                nodes[index].held.insert(shard)
                nodes[index].plan.took(shard, take.way, now: now)
                tellClaim(shard, of: index, isWhole: true)
            } else {
                nodes[index].plan.failed(shard, now: now)
            }
        }
    }

    private mutating func tellClaim(
        _ shard: DonationPlan.Shard, of index: Int, isWhole: Bool
    ) {
        let peer = nodes[index].peer
        for other in nodes.indices where other != index && nodes[other].isUp {
            send(to: other) { $0.claims(peer, shard, isWhole: isWhole, now: $1) }
        }
    }

    /// Tells the others what a donor keeps, where that has changed.
    private mutating func tell(_ index: Int) {
        let peer = nodes[index].peer
        for (_, blob) in blobs {
            let pledged = Set(nodes[index].plan.pledges(of: blob))
            let before = nodes[index].told[blob] ?? []
            guard pledged != before else { continue }
            nodes[index].told[blob] = pledged
            let added = pledged.subtracting(before).sorted()
            let removed = before.subtracting(pledged).sorted()
            for other in nodes.indices where other != index && nodes[other].isUp {
                send(to: other) {
                    $0.pledges(peer, blob, adding: added, removing: removed, now: $1)
                }
            }
        }
        let room = nodes[index].plan.room
        guard room != nodes[index].toldRoom else { return }
        nodes[index].toldRoom = room
        for other in nodes.indices where other != index && nodes[other].isUp {
            send(to: other) { $0.hasRoom(peer, room, now: $1) }
        }
    }

    // MARK: Looking

    /// The donors that have a shard.
    func donors(of shard: DonationPlan.Shard) -> [Int] {
        nodes.indices.filter {
            nodes[$0].isUp && nodes[$0].kind == .donor && nodes[$0].held.contains(shard)
        }
    }

    /// All nodes that can give a shard.
    func holders(of shard: DonationPlan.Shard) -> [Int] {
        nodes.indices.filter { nodes[$0].isUp && nodes[$0].held.contains(shard) }
    }

    /// How many different donors can be named, one for each shard of a group.
    func spread(_ shards: [DonationPlan.Shard]) -> Int {
        var matched: [Int: DonationPlan.Shard] = [:]
        func assign(_ shard: DonationPlan.Shard, _ seen: inout Set<Int>) -> Bool {
            for donor in donors(of: shard) where seen.insert(donor).inserted {
                let other = matched[donor]
                if other == nil || other.map({ assign($0, &seen) }) == true {
                    matched[donor] = shard
                    return true
                }
            }
            return false
        }
        return shards.filter {
            var seen: Set<Int> = []
            return assign($0, &seen)
        }.count
    }

    /// The shards of each group.
    var groupsOfShards: [[DonationPlan.Shard]] {
        zip(blobs, geometries).flatMap { blob, geometry in
            (0..<geometry.groupCount).map { group in
                geometry.shards.filter { geometry.group(of: $0) == group }
                    .map { DonationPlan.Shard(blob.blob, $0) }
            }
        }
    }

    /// What has to hold at every moment.
    private func check(_ index: Int) {
        let node = nodes[index]
        let here = (Array(node.held) + node.coming.keys).reduce(0) { $0 + length($1) }
        #expect(here == node.plan.used, "the plan counts what is here")
        #expect(node.plan.used <= node.plan.quota, "the quota holds")
    }
}
