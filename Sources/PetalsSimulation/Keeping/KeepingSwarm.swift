internal import PetalsCore
internal import PetalsTesting
internal import ShardFetch

/// Donors that keep models while nodes come and go, in virtual time.
///
/// Each donor runs a `DonationPlan` of its own and knows what its peers tell it and what it has
/// checked. What a model of the world replaces: `Donor`, which fetches and rebuilds. A shard comes
/// in parts; each part of a fetch from the holder whose line is expected to be through with it
/// first, each part of a rebuild from k holders at once. In which order cells of a part come is not
/// what is asked here (`SpreadSwarm` asks that), and there are a hundred times as many of them.
///
/// A node that comes back dials three peers a second, as `DialPlan` lets it, and is checked again
/// by those who meet it.
package final class KeepingSwarm {
    enum Event {
        case comes(Int, session: Int)
        case goes(Int, session: Int)
        case goesForGood(Int)
        case meets(Int, Int, session: Int, other: Int)
        case advance(Int, session: Int)
        case tell(Int, session: Int)
        case audited(Int, Int, DonationPlan.Shard, session: Int)
        case lineFree(Int, cuts: Int)
        case came(Lines.Parcel)
        case beginCounting
    }

    /// A part of a shard on a line.
    struct Part {
        let node: Int
        let session: Int
        let shard: DonationPlan.Shard
    }

    /// Parts of a shard.
    static let parts = 5
    /// Seconds between two times at which peers are told what has changed, as in `ShardServer`.
    static let tellSeconds: Instant = 1
    /// Seconds after which a read fails unless `--read-timeout` says otherwise.
    static let readTimeout: Instant = 600

    let scenario: KeepingScenario
    let ids: [BlobID]
    var generator: SeededGenerator
    var queue = EventQueue<Event>()
    var lines = Lines { 2 * spreadLatency($0, $1) }
    var nodes: [KeepingNode] = []
    var members: [[Int]]
    var numbers: [DonationPlan.Peer: Int] = [:]
    var parts: [Int: Part] = [:]
    var nextPart = 0

    // Books of what is there: by catalogue, model and column, the donors that have a copy.
    var copiesThere: [[[Int]]]
    var columnsThere: [[Int]]
    var copiesAnywhere: [[[Int]]]
    var columnsAnywhere: [[Int]]
    var unreadableSince: [[Instant?]]
    var unreadableSeconds: [[Instant]]
    /// When a model could not be read, from the beginning on.
    var outages: [[[Outage]]]
    var columnSum = 0
    var columnSeconds = 0.0
    var columnsAt: Instant = 0
    var isCounting = false
    var repairBytes: [Int]
    var shardsToPlace: Int
    package internal(set) var figures = KeepingFigures()
    /// Promises that were not kept.
    package internal(set) var violations: [String] = []

    /// Makes a swarm in which nothing has happened yet.
    package init(_ scenario: KeepingScenario) {
        self.scenario = scenario
        generator = SeededGenerator(seed: scenario.seed)
        let columns = Array(repeating: 0, count: scenario.geometry.groupShards)
        let models = Array(repeating: columns, count: scenario.models)
        copiesThere = Array(repeating: models, count: scenario.catalogues)
        copiesAnywhere = copiesThere
        columnsThere = Array(
            repeating: Array(repeating: 0, count: scenario.models), count: scenario.catalogues)
        columnsAnywhere = columnsThere
        unreadableSince = columnsThere.map { $0.map { _ in 0 } }
        unreadableSeconds = columnsThere.map { $0.map { _ in 0 } }
        outages = columnsThere.map { $0.map { _ in [] } }
        members = Array(repeating: [], count: scenario.catalogues)
        repairBytes = scenario.population.lines.map { _ in 0 }
        shardsToPlace = scenario.shards
        ids = (0..<scenario.models).map { Digest(words: (scenario.seed, UInt64($0), 0, 0)) }
        precondition(scenario.geometry.groupCount == 1)
        for catalogue in 0..<scenario.catalogues { addCatalogue(catalogue) }
        queue.schedule(.beginCounting, at: scenario.countsFrom)
    }

    private func addCatalogue(_ catalogue: Int) {
        let kinds = scenario.population.kinds(of: scenario.donors, using: &generator)
        // Disks differ by four. They are whole shards, since what is left of one holds nothing.
        let disks = (0..<scenario.donors).map { [0.5, 1, 1, 2][$0 % 4] }
            .shuffled(using: &generator)
        let wanted =
            scenario.redundancy * Double(scenario.models * scenario.geometry.dataShards)
        let unit = wanted / disks.reduce(0, +)
        var given = 0
        var sum = 0.0
        let quotas = disks.map { disk in
            sum += disk * unit
            defer { given = Int(sum.rounded()) }
            return Int(sum.rounded()) - given
        }
        let publisher = Population.Line("", upload: 125e6, download: 125e6, share: 0)
        addNode(catalogue, kind: 0, line: publisher, quota: 0, isPublisher: true)
        let length = scenario.geometry.shardLength(ShardIndex(0))
        for (kind, quota) in zip(kinds, quotas) {
            addNode(
                catalogue, kind: kind, line: scenario.population.lines[kind],
                quota: quota * length, isPublisher: false)
        }
        // Those who are there at the beginning meet at once.
        for (place, one) in members[catalogue].enumerated() {
            for two in members[catalogue].dropFirst(place + 1) {
                meet(nodes[one], nodes[two])
            }
        }
    }

    @discardableResult
    func addNode(
        _ catalogue: Int, kind: Int, line: Population.Line, quota: Int, isPublisher: Bool,
        fate: SeededGenerator? = nil
    ) -> KeepingNode {
        let number = lines.add(upload: line.upload, download: line.download)
        let node = KeepingNode(
            number, catalogue: catalogue, kind: kind, isPublisher: isPublisher, quota: quota,
            lineRate: line.download, rules: scenario.rules, fate: fate, using: &generator)
        node.thereSince = queue.now
        nodes.append(node)
        numbers[node.peer] = number
        members[catalogue].append(number)
        if isPublisher {
            for model in 0..<scenario.models {
                for shard in scenario.geometry.shards {
                    node.held.insert(DonationPlan.Shard(DonationPlan.Blob(model), shard))
                }
            }
            for shard in node.held { count(shard, of: node, isThere: 1, isAnywhere: 1) }
            queue.schedule(.goesForGood(number), at: scenario.publishersLeaveAt)
            return node
        }
        for (model, id) in ids.enumerated() {
            node.plan.add(
                DonationPlan.Blob(model), id: id, geometry: scenario.geometry, now: queue.now)
        }
        node.toldRoom = node.plan.room
        // Not all at once: the first sessions are cut as if they had begun long ago.
        queue.schedule(
            .goes(number, session: 0), after: node.fate.decay(mean: scenario.sessions.presentMean))
        if let mean = scenario.lifetimeMean {
            queue.schedule(.goesForGood(number), after: node.fate.decay(mean: mean))
        }
        advanceSoon(node, at: queue.now)
        return node
    }

    // MARK: Running

    /// Lets everything happen until the end.
    ///
    /// - Parameter each: called after so many events, to look at the swarm.
    package func run(every batch: Int = 10_000, _ each: (KeepingSwarm) -> Void = { _ in }) {
        var handled = 0
        while let event = queue.next(until: scenario.end) {
            handle(event)
            handled += 1
            if handled % batch == 0 { each(self) }
        }
        each(self)
        finish()
    }

    private func handle(_ event: Event) {
        switch event {
        case .comes(let number, let session): comes(nodes[number], session)
        case .goes(let number, let session): goes(nodes[number], session)
        case .goesForGood(let number): goesForGood(nodes[number])
        case .meets(let one, let two, let session, let other):
            guard nodes[one].isThere, nodes[two].isThere, nodes[one].session == session,
                nodes[two].session == other
            else { return }
            meet(nodes[one], nodes[two])
        case .advance(let number, let session):
            guard nodes[number].session == session else { return }
            advance(nodes[number])
        case .tell(let number, let session):
            guard nodes[number].session == session else { return }
            tell(nodes[number])
        case .audited(let number, let other, let shard, let session):
            audited(nodes[number], nodes[other], shard, session)
        case .lineFree(let number, let cuts):
            guard let delivery = lines.freed(number, cuts: cuts, now: queue.now) else { return }
            queue.schedule(.came(delivery.parcel), at: delivery.arrivesAt)
            if let free = delivery.freeAt {
                queue.schedule(.lineFree(number, cuts: cuts), at: free)
            }
        case .came(let parcel): came(parcel)
        case .beginCounting: beginCounting()
        }
    }
}
