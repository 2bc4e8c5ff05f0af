internal import PetalsCore
internal import PetalsTesting
internal import ShardFetch

/// A crowd that wants a model which one node has, in virtual time.
///
/// Each node runs what petalsfs runs: `DHTSchedule`, `LookupSchedule`, `ExchangeBook`, `DialPlan`
/// decide whom it meets, `WholeOrder` and `FetchScheduler` what it asks of whom. Only the world
/// around them is a model: lines (`Lines`), the DHT (`Rendezvous`), and TLS and handshake, which
/// take three times the way between two nodes.
///
/// What is left out: the cost of hashing and of disks, and bytes of control messages, which are
/// counted and take no time.
package final class SpreadSwarm {
    enum Event {
        case arrive(Int)
        /// What a node's discovery loop does.
        case look(Int)
        case dialled(Int, Int, SocketEndpoint, PeerOrigin)
        case found(Int, [PeerHint], PeerOrigin, teller: IPAddress?)
        case announced(Int)
        /// Peers are told what changed, once a second.
        case tell(Int)
        case tick(Int)
        case act(Int)
        case lineFree(Int, cuts: Int)
        case came(Lines.Parcel)
        case refused(Int, UInt32, PeerConnection.ID)
        case layer(Int, FetchScheduler.ShardKey)
        case rebuilt(Int, FetchScheduler.CellKey, LeafSet)
    }

    /// What a parcel on a line is part of.
    struct Frame {
        let request: UInt32
        let connection: PeerConnection.ID
        let key: FetchScheduler.CellKey
        let leaves: LeafSet
    }

    let scenario: SpreadScenario
    let blobID: BlobID
    let topic: Topic
    var generator: SeededGenerator
    var queue = EventQueue<Event>()
    var lines = Lines { 2 * spreadLatency($0, $1) }
    var rendezvous: Rendezvous
    var nodes: [SpreadNode] = []
    let kinds: [Int]
    var frames: [Int: Frame] = [:]
    var nextFrame = 0
    var nextConnection = 1
    var addresses = AddressBook()

    // What the figures need.
    /// Nodes but the publisher that have a cell, by shard.
    var copies: [[Int]]
    /// Columns of each row that others than the publisher have.
    var coverage: [Int]
    var rowsToGo: Int
    var wholeHolders: [Int]
    var shardsToGo: Set<Int>
    var cellsKept = 0
    var bytesKept = 0
    var publisherIsHere = true
    package internal(set) var figures = SpreadFigures()
    /// Promises that were not kept.
    package internal(set) var violations: [String] = []

    /// Makes a swarm in which nothing has happened yet.
    package init(_ scenario: SpreadScenario) {
        self.scenario = scenario
        generator = SeededGenerator(seed: scenario.seed)
        let geometry = scenario.geometry
        blobID = Digest(words: (scenario.seed, 1, 2, 3))
        topic = AddressBook.topic(1)
        rendezvous = Rendezvous(nodes: scenario.nodes)
        kinds = scenario.population.kinds(of: scenario.crowd, using: &generator)
        copies = geometry.shards.map { Array(repeating: 0, count: geometry.cellCount(of: $0)) }
        coverage = Array(repeating: 0, count: geometry.rowCount)
        rowsToGo = geometry.rowCount
        wholeHolders = Array(repeating: 0, count: geometry.shardCount)
        shardsToGo = []
        addNodes()
        shardsToGo = Set(nodes.dropFirst().flatMap { $0.wants.map(\.rawValue) })
    }

    private func addNodes() {
        let geometry = scenario.geometry
        let line = scenario.population.lines[scenario.publisherLine]
        _ = lines.add(upload: line.upload, download: line.download)
        nodes.append(SpreadNode(0, scenario, wants: [], arrivesAt: 0, isPublisher: true))
        let donors = Int(scenario.donorShare * Double(scenario.crowd))
        let areDonors = (0..<scenario.crowd).map { $0 < donors }.shuffled(using: &generator)
        // `DonationPlan` spreads donors evenly over shards: they are dealt like cards.
        let deck = geometry.shards.shuffled(using: &generator)
        var dealt = 0
        for number in 1...scenario.crowd {
            let kind = scenario.population.lines[kinds[number - 1]]
            _ = lines.add(upload: kind.upload, download: kind.download)
            var wants = geometry.streamShards
            if areDonors[number - 1] {
                let count = min(scenario.shardsPerDonor, deck.count)
                wants = (dealt..<dealt + count).map { deck[$0 % deck.count] }
                dealt += count
            }
            let arrivesAt = Instant.random(in: 0..<scenario.arrivalSeconds, using: &generator)
            nodes.append(
                SpreadNode(
                    number, scenario, wants: wants, arrivesAt: arrivesAt, isPublisher: false))
        }
        for node in nodes {
            addresses.add(node.number)
            queue.schedule(.arrive(node.number), at: node.arrivesAt)
        }
    }

    // MARK: Running

    /// Lets everything happen until all have what they wanted.
    ///
    /// - Parameter each: called after so many events, to look at the swarm.
    package func run(every batch: Int = 100_000, _ each: (SpreadSwarm) -> Void = { _ in }) {
        var handled = 0
        while let event = queue.next(until: scenario.secondsMax) {
            handle(event)
            handled += 1
            if handled % batch == 0 { each(self) }
            if isOver { break }
        }
        each(self)
        finish()
    }

    private var isOver: Bool { figures.finished == scenario.crowd }

    private func handle(_ event: Event) {
        let now = queue.now
        switch event {
        case .arrive(let number): arrive(nodes[number])
        case .look(let number): look(nodes[number])
        case .dialled(let source, let target, let endpoint, let origin):
            dialled(nodes[source], nodes[target], endpoint, origin)
        case .found(let number, let hints, let origin, let teller):
            let node = nodes[number]
            if origin == .dht, !hints.isEmpty { node.dht.answered(topic, now: now) }
            node.plan.hint(hints, from: origin, teller: teller, now: now, using: &node.generator)
        case .announced(let number): rendezvous.announce(number, topic: topic)
        case .tell(let number): tell(nodes[number])
        case .tick(let number): tick(nodes[number])
        case .act(let number): decide(nodes[number])
        case .lineFree(let number, let cuts): lineFree(number, cuts: cuts)
        case .came(let parcel): came(parcel)
        case .refused(let number, let id, let peer):
            nodes[number].scheduler.refused(id, by: peer, reason: .busy, now: now)
            act(nodes[number])
        case .layer(let number, let key):
            nodes[number].scheduler.layerArrived(key)
            act(nodes[number])
        case .rebuilt(let number, let key, let leaves):
            kept(nodes[number], key, leaves)
            nodes[number].scheduler.got(key, leaves)
            act(nodes[number])
        }
    }

    /// A node starts.
    private func arrive(_ node: SpreadNode) {
        node.isHere = true
        node.refill()
        queue.schedule(.look(node.number), after: 0)
        queue.schedule(.tell(node.number), after: 1)
        act(node)
    }

    // MARK: Figures

    /// Counts a cell that a node has from now on.
    func count(_ node: SpreadNode, _ address: CellAddress) {
        let geometry = scenario.geometry
        let shard = address.shard.rawValue
        cellsKept += 1
        bytesKept += geometry.cellLength(address)
        copies[shard][address.cell.rawValue] += 1
        if copies[shard][address.cell.rawValue] == 1 {
            let row = geometry.row(of: address).rawValue
            coverage[row] += 1
            if coverage[row] == geometry.dataShards { rowsToGo -= 1 }
            if rowsToGo == 0, figures.selfSustainingSeconds == nil { sustainsItself() }
        }
        guard node.shelf.cells[shard].isComplete else { return }
        wholeHolders[shard] += 1
        if wholeHolders[shard] >= scenario.holdersWanted { shardsToGo.remove(shard) }
        if shardsToGo.isEmpty, figures.holdersSeconds == nil {
            figures.holdersSeconds = queue.now
        }
    }

    private func sustainsItself() {
        figures.selfSustainingSeconds = queue.now
        figures.publisherCopies = publisherCopies
        guard scenario.publisherLeaves else { return }
        publisherIsHere = false
        leave(nodes[0])
    }

    private var publisherCopies: Double {
        Double(lines.uploadedBytes(0)) / Double(scenario.geometry.storedLength)
    }

    private func finish() {
        figures.nodes = scenario.nodes
        figures.crowd = scenario.crowd
        figures.order = scenario.order.rawValue
        figures.storedBytes = scenario.geometry.storedLength
        figures.copySeconds = Double(scenario.geometry.storedLength) / lines.upload(0)
        figures.holdersWanted = scenario.holdersWanted
        figures.publisherCopiesAtEnd = publisherCopies
        figures.seconds = queue.now
        let sent = nodes.map { Double($0.controlSent) }
        figures.controlMean = sent.reduce(0, +) / Double(nodes.count)
        figures.controlMost = sent.max() ?? 0
        figures.requestsPerCell =
            Double(nodes.reduce(0) { $0 + $1.requestsSent }) / Double(max(cellsKept, 1))
        let came = nodes.indices.reduce(0) { $0 + lines.downloadedBytes($1) }
        figures.fetchedPerKept = Double(came) / Double(max(bytesKept, 1))
        for (kind, line) in scenario.population.lines.enumerated() {
            let members = nodes.dropFirst().filter { kinds[$0.number - 1] == kind }
            let sent = members.reduce(0) { $0 + lines.uploadedBytes($1.number) }
            let could = members.reduce(0.0) { $0 + (queue.now - $1.arrivesAt) * line.upload }
            figures.load[line.name] = could > 0 ? Double(sent) / could : 0
        }
        figures.events = queue.scheduledCount
    }
}
