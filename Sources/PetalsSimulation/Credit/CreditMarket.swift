internal import PetalsCore
internal import PetalsTesting
internal import ShardFetch

/// Nodes that want shards of each other, each with a ledger and an upload plan of its own: the very
/// code that petalsfs runs, driven as `ShardServer` drives it.
///
/// Time goes in steps of a tenth of a second. In each, what was sent in the one before arrives, is
/// receipted where a receipt is due, and every plan is asked until it has to wait. Each second
/// everybody looks at his books, as `CreditKeeper` does. Every two
/// seconds each node keeps the half of its servers that gave it most and draws the others anew:
/// `FetchScheduler` asks whoever is expected to answer first, and tries others. Sybils do the same.
/// Lines down, hashing and disks take no time.
final class CreditMarket {
    /// Seconds of a step.
    static let step: Instant = 0.1
    /// Seconds after which everybody asks others.
    static let round: Instant = 2
    /// Servers that an honest node asks at a time.
    static let servers = 6
    /// The wall clock at the beginning.
    static let epoch = 1_800_000_000

    private struct Parcel {
        let server: MarketNode
        let client: MarketNode
        let name: PeerID
        let leaves: Int
        let price: Int
    }

    private(set) var nodes: [MarketNode] = []
    private(set) var now: Instant = 0
    private var parcels: [Parcel] = []
    private var generator: SeededGenerator
    private var isCounting = false
    /// Servers that an honest node asks at a time.
    var servers = CreditMarket.servers
    /// Bytes that honest nodes sent to whom, since counting began.
    private(set) var sentByHonest = 0
    var violations: [String] = []
    /// Called for each delivery, with server, client and bytes.
    var watcher: ((MarketNode, MarketNode, Int) -> Void)?

    var seconds: Int { Self.epoch + Int(now) }

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
    }

    /// Adds nodes of a kind.
    @discardableResult
    func add(
        _ count: Int, _ manner: MarketNode.Manner, uplink: Int = 1_000_000, group: String? = nil,
        demandRate: Int? = nil, joinsAt: Instant = 0
    ) -> [MarketNode] {
        let added = (0..<count).map { place in
            MarketNode(
                nodes.count + place, manner, group: group, uplink: uplink,
                demandRate: demandRate, joinsAt: joinsAt)
        }
        nodes += added
        return added
    }

    /// Runs until a moment, and counts what moves from another on.
    func run(until end: Instant, countingFrom start: Instant) {
        var rounds = Int(now / Self.round)
        var looks = Int(now)
        if now == 0 { draw() }
        while now < end - Self.step / 2 {
            now += Self.step
            if !isCounting, now >= start { beginCounting() }
            if Int(now / Self.round + 1e-9) > rounds {
                rounds += 1
                draw()
            }
            if Int(now + 1e-9) > looks {
                looks += 1
                look()
            }
            arrive()
            for node in nodes where node.manner.serves(now) && node.joinsAt <= now { serve(node) }
        }
        for node in nodes {
            _ = node.look(now: now, at: seconds)
            if let fault = node.ledger.check() {
                violations.append("node \(node.number): \(fault)")
            }
        }
    }

    private func beginCounting() {
        isCounting = true
        sentByHonest = 0
        for node in nodes {
            node.uploaded = 0
            node.downloaded = 0
        }
    }

    // MARK: Asking

    /// Has everybody ask others.
    private func draw() {
        for node in nodes {
            node.waiting.removeAll(keepingCapacity: true)
            node.places.removeAll(keepingCapacity: true)
        }
        let serving = nodes.filter { $0.manner.serves(now) && $0.joinsAt <= now }
        for client in nodes.shuffled(using: &generator) where client.joinsAt <= now {
            let wanted = min(servers * client.manner.appetite, serving.count - 1)
            var asked: [Int] = client.bestServers(wanted / 2)
            while asked.count < wanted {
                let server = serving[Int(generator.next() % UInt64(serving.count))]
                guard server !== client, !asked.contains(server.number) else { continue }
                asked.append(server.number)
            }
            client.gains.removeAll(keepingCapacity: true)
            for server in asked.lazy.map({ self.nodes[$0] }) {
                server.places[client.number] = server.waiting.count
                server.waiting.append(waiting(client, at: server))
            }
        }
    }

    private func waiting(_ client: MarketNode, at server: MarketNode) -> UploadPlan.Waiting {
        server.connect(client, now: now, at: seconds)
        return UploadPlan.Waiting(
            connection: .init(virtual: client.number), peer: client.peer, hasDemand: true,
            hasBulk: false, standing: server.ledger.standing(of: client.peer, at: seconds))
    }

    private func refresh(_ client: MarketNode, at server: MarketNode) {
        guard let place = server.places[client.number] else { return }
        server.waiting[place] = waiting(client, at: server)
    }

    // MARK: Serving

    private func serve(_ server: MarketNode) {
        while true {
            guard
                case .serve(let id, let bulk, let most) = server.plan.next(
                    of: asking(server), yields: false, now: now)
            else { return }
            let client = nodes[id.virtualNumber]
            let leaves =
                server.tallies[client.number]?.give(
                    most, of: &server.ledger, isContended: server.plan.isContended(now: now),
                    now: now, at: seconds) ?? 0
            guard leaves > 0 else {
                server.blocked.insert(client.number)
                continue
            }
            let bytes = leaves * Limits.leafBytes
            let standing = server.places[client.number].map { server.waiting[$0].standing }
            server.plan.sent(
                bytes, to: client.peer, as: standing ?? .stranger(group: client.group),
                bulk: bulk, now: now)
            client.budget -= Double(bytes)
            parcels.append(
                Parcel(
                    server: server, client: client, name: client.peer,
                    leaves: leaves, price: CreditTerms.basePrice))
            refresh(client, at: server)
        }
    }

    /// Who asks a server for anything; those who have to sign first have no class.
    private func asking(_ server: MarketNode) -> [UploadPlan.Waiting] {
        server.waiting.compactMap { waiting in
            let client = nodes[waiting.connection.virtualNumber]
            guard client.demandRate == nil || client.budget > 0 else { return nil }
            guard server.blocked.contains(client.number) else { return waiting }
            return UploadPlan.Waiting(
                connection: waiting.connection, peer: waiting.peer, hasDemand: false,
                hasBulk: false, standing: waiting.standing)
        }
    }

    // MARK: Arriving

    private func arrive() {
        let coming = parcels
        parcels.removeAll(keepingCapacity: true)
        for node in nodes {
            guard let rate = node.demandRate else { continue }
            node.budget = min(node.budget + Double(rate) * Self.step, Double(rate) * Self.round)
        }
        for parcel in coming {
            let (server, client) = (parcel.server, parcel.client)
            let bytes = parcel.leaves * Limits.leafBytes
            if isCounting {
                server.uploaded += bytes
                client.downloaded += bytes
                if server.manner == .honest { sentByHonest += bytes }
                watcher?(server, client, bytes)
            }
            client.nameBytes += bytes
            client.gains[server.number, default: 0] += bytes
            if case .whitewasher(let most) = client.manner, client.nameBytes >= most {
                client.rename()
                server.blocked.remove(client.number)
                refresh(client, at: server)
                continue
            }
            guard client.peer == parcel.name, client.manner.signs(now) else { continue }
            client.connect(server, now: now, at: seconds)
            client.tallies[server.number]?.meter.note(
                received: bytes, Mills(bytes: bytes, price: parcel.price))
            sign(client, server)
            // What the server gives counts for it where it is a client.
            refresh(server, at: client)
        }
    }

    private func sign(_ client: MarketNode, _ server: MarketNode) {
        client.enter(server.number, now: now, at: seconds)
        let terms = server.ledger.terms(
            for: client.peer, isContended: server.plan.isContended(now: now), at: seconds)
        let receipt = client.ledger.dueReceipt(
            to: server.peer, quantum: terms?.quantum ?? 0, now: now, at: seconds)
        _ = client.ledger.takeEntries()
        guard let receipt, let verified = receipt.verified() else { return }
        // What was sent until now first: the receipt speaks of it.
        server.enter(client.number, now: now, at: seconds)
        let known = server.ledger.accounts[client.peer]?.signed
        let outcome = server.ledger.take(verified, now: now, at: seconds)
        server.allow(client.number, now: now, at: seconds)
        _ = server.ledger.takeEntries()
        // Who was disconnected says once more what it signed last.
        let isRepeated = outcome == .stale && receipt.mills == known
        if outcome != .counted && !isRepeated {
            violations.append("a receipt of node \(client.number) is \(outcome)")
        }
        server.blocked.remove(client.number)
        refresh(client, at: server)
    }

    /// What nodes do about their books each second: they send the receipts that are due by their
    /// age, give up what is late, and look whether who waits has room after all.
    private func look() {
        for server in nodes where server.manner.serves(now) {
            let signers = server.tallies.keys.filter { nodes[$0].manner.signs(now) }
            for number in signers.sorted() {
                sign(nodes[number], server)
            }
            for action in server.look(now: now, at: seconds) {
                guard case .close(let peer) = action else { continue }
                // It connects again at once, and shows what it signed.
                for (number, place) in server.places where nodes[number].peer == peer {
                    server.disconnect(nodes[number], now: now, at: seconds)
                    server.waiting[place] = waiting(nodes[number], at: server)
                }
            }
            server.blocked.removeAll()
        }
    }
}

extension CreditMarket {
    /// Bytes a second that each of some nodes got, at the mean.
    static func rate(_ nodes: [MarketNode], seconds: Double) -> Double {
        let bytes = nodes.reduce(0) { $0 + $1.downloaded }
        return Double(bytes) / Double(max(1, nodes.count)) / seconds
    }
}
