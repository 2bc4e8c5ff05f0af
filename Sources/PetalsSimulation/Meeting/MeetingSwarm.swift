internal import PetalsCore
internal import PetalsTesting
package import ShardFetch

/// What a node pays in messages for finding others, in an hour of a swarm of any size.
///
/// A node's part of that depends on the others only through what the DHT answers and who is at the
/// addresses that it dials. So a sample of nodes runs the machines of petalsfs (`DHTSchedule`,
/// `LookupSchedule`, `DialPlan`, `ExchangeBook`), each against the whole swarm's announcements, and
/// the others are addresses at which somebody is there as often as their availability says. What
/// others send to a node is as much, on average, as nodes send: each message has one sender.
package struct MeetingSwarm {
    /// What is asked.
    package struct Scenario: Sendable {
        package var nodes: Int
        /// Nodes that run machines.
        package var sample = 100
        /// Topics that a node announces: ten blobs.
        package var announced = 10
        /// Part of all nodes that have what the node reads: more in a larger swarm.
        package var popularity = 0.1
        package var sessions = Population.Sessions(halfLife: 1800, availability: 0.8)
        package var seconds: Instant = 3600
        package var seed: UInt64

        package init(nodes: Int, seed: UInt64) {
            self.nodes = nodes
            self.seed = seed
        }
    }

    /// What came of it, a node and hour at the mean.
    package struct Figures: Sendable, Codable {
        package var nodes = 0
        package var sample = 0
        /// Datagrams to the DHT.
        package var datagrams = 0.0
        package var dials = 0.0
        package var failedDials = 0.0
        /// Hello, join, holdings at the begin of a connection.
        package var greetings = 0.0
        /// Messages of peer exchange.
        package var exchanges = 0.0
        /// All of them.
        package var messages = 0.0
        package var messagesMost = 0.0
        /// Seconds until the first holder was connected, at the mean.
        package var firstHolderSeconds = 0.0
        /// Dials in any second, at most.
        package var dialsPerSecondMost = 0

        package init() {}
    }

    private enum Event {
        case look
        case found([PeerHint], PeerOrigin, teller: IPAddress?)
        case dialled(SocketEndpoint, PeerOrigin, isThere: Bool)
        case goes(PeerConnection.ID)
        /// A peer tells of others.
        case told(PeerConnection.ID)
    }

    /// One node of the sample and its hour.
    private struct Member {
        var queue = EventQueue<Event>()
        var generator: SeededGenerator
        var plan = DialPlan()
        var lookups = LookupSchedule()
        var exchange = ExchangeBook()
        var dht = DHTSchedule(now: 0)
        var peers: [PeerConnection.ID: (number: Int, endpoint: SocketEndpoint)] = [:]
        var next = 1
        var dials: [Instant] = []
        var figures = Figures()
        var firstHolderAt: Instant?
    }

    private let scenario: Scenario
    private var rendezvous: Rendezvous
    private let topic = AddressBook.topic(0)
    private let blob = Digest(words: (7, 7, 7, 7))

    /// Makes a swarm whose nodes have announced what they have.
    package init(_ scenario: Scenario) {
        self.scenario = scenario
        rendezvous = Rendezvous(nodes: scenario.nodes)
        rendezvous.populate(
            topic, count: max(10, Int(scenario.popularity * Double(scenario.nodes))))
    }

    /// Has each node of the sample live for an hour.
    package func run() -> Figures {
        var all = Figures()
        all.nodes = scenario.nodes
        all.sample = min(scenario.sample, scenario.nodes)
        var firsts: [Instant] = []
        for number in 0..<all.sample {
            let seed = scenario.seed &+ UInt64(number) &* 0x9e37_79b9
            var member = Member(generator: SeededGenerator(seed: seed))
            live(&member)
            let figures = member.figures
            let messages =
                figures.datagrams + figures.dials + figures.greetings + figures.exchanges
            let share = 1 / Double(all.sample)
            all.datagrams += figures.datagrams * share
            all.dials += figures.dials * share
            all.failedDials += figures.failedDials * share
            all.greetings += figures.greetings * share
            all.exchanges += figures.exchanges * share
            all.messages += messages * share
            all.messagesMost = max(all.messagesMost, messages)
            all.dialsPerSecondMost = max(all.dialsPerSecondMost, figures.dialsPerSecondMost)
            firsts.append(member.firstHolderAt ?? scenario.seconds)
        }
        all.firstHolderSeconds = firsts.reduce(0, +) / Double(max(1, firsts.count))
        return all
    }

    private func live(_ member: inout Member) {
        for number in 1...scenario.announced {
            _ = member.dht.announce(AddressBook.topic(UInt64(number)), now: 0)
        }
        member.queue.schedule(.look, after: 0)
        while let event = member.queue.next(until: scenario.seconds) {
            let now = member.queue.now
            switch event {
            case .look: look(&member)
            case .found(let hints, let origin, let teller):
                if !hints.isEmpty, origin == .dht { member.dht.answered(topic, now: now) }
                member.plan.hint(
                    hints, from: origin, teller: teller, now: now, using: &member.generator)
            case .dialled(let endpoint, let origin, let isThere):
                dialled(&member, endpoint, origin, isThere: isThere)
            case .goes(let id):
                guard let peer = member.peers.removeValue(forKey: id) else { continue }
                member.plan.closed(id)
                member.exchange.closed(id)
                member.plan.ended(
                    peer.endpoint, .ended(after: 60), now: now, using: &member.generator)
            case .told(let id): told(&member, id)
            }
        }
    }

    private func look(_ member: inout Member) {
        let now = member.queue.now
        let isThin = member.peers.count < SpreadSwarm.holdersWanted
        let due = member.lookups.due(
            waiting: member.peers.isEmpty ? [topic] : [], thin: isThin ? [topic] : [],
            hasPeers: !member.peers.isEmpty, now: now)
        for topic in due { member.dht.find(topic, now: now) }
        while let action = member.dht.next(now: now, using: &member.generator) {
            switch action {
            case .countNodes: member.dht.counted(nodes: scenario.nodes)
            case .bootstrap, .save: break
            case .announce: member.figures.datagrams += Double(rendezvous.datagrams)
            case .find:
                member.figures.datagrams += Double(rendezvous.datagrams)
                let hints = rendezvous.find(topic, using: &member.generator).map(hint)
                member.queue.schedule(
                    .found(hints, .dht, teller: nil), after: Rendezvous.lookupSeconds)
            }
        }
        member.plan.setTopics(interests: [topic], wanted: isThin ? [topic] : [])
        while let action = member.plan.next(now: now, using: &member.generator) {
            guard case .dial(let endpoint, let origin) = action else { continue }
            member.figures.dials += 1
            member.dials.removeAll { now - $0 >= 1 }
            member.dials.append(now)
            member.figures.dialsPerSecondMost = max(
                member.figures.dialsPerSecondMost, member.dials.count)
            let isThere = member.generator.chance(scenario.sessions.availability)
            member.queue.schedule(
                .dialled(endpoint, origin, isThere: isThere), after: isThere ? 0.3 : 5)
        }
        exchange(&member)
        member.queue.schedule(
            .look, after: isThin ? SpreadSwarm.lookSeconds : SpreadSwarm.restSeconds)
    }

    private func hint(_ number: Int) -> PeerHint {
        PeerHint(topic: topic, endpoint: AddressBook.packed(number).socketEndpoint)
    }

    private func dialled(
        _ member: inout Member, _ endpoint: SocketEndpoint, _ origin: PeerOrigin, isThere: Bool
    ) {
        let now = member.queue.now
        guard isThere, let address = IPAddress(parsing: endpoint.host) else {
            member.figures.failedDials += 1
            return member.plan.ended(endpoint, .failed, now: now, using: &member.generator)
        }
        let id = PeerConnection.ID(virtual: member.next)
        member.next += 1
        let number = AddressBook.unpacked(NumericEndpoint(address, port: UInt16(endpoint.port)))
        member.peers[id] = (number, endpoint)
        member.figures.greetings += 3
        member.firstHolderAt = member.firstHolderAt ?? now
        member.plan.opened(id, target: endpoint, origin: origin, alias: nil, now: now)
        member.plan.proved(id)
        member.exchange.opened(id, now: now)
        member.queue.schedule(.told(id), after: ExchangeBook.firstSeconds)
        member.queue.schedule(
            .goes(id), after: member.generator.decay(mean: scenario.sessions.presentMean))
    }

    /// What the node tells its peers of each other.
    private func exchange(_ member: inout Member) {
        let now = member.queue.now
        let due = member.exchange.due(now: now)
        guard !due.isEmpty else { return }
        for (_, peer) in member.peers.sorted(by: { $0.key < $1.key }) {
            let packed = AddressBook.packed(peer.number)
            member.exchange.saw(
                AddressBook.peerID(peer.number), at: peer.endpoint, address: packed.address,
                blobs: [blob], now: now)
        }
        for id in due {
            guard let peer = member.peers[id] else { continue }
            let message = member.exchange.message(
                to: AddressBook.peerID(peer.number), on: id, topics: [blob: topic], now: now,
                using: &member.generator, mayHear: { _ in true })
            if message?.isEmpty == false { member.figures.exchanges += 1 }
        }
    }

    /// What a peer tells the node: as many as such a peer would know of, once a minute.
    private func told(_ member: inout Member, _ id: PeerConnection.ID) {
        guard let peer = member.peers[id] else { return }
        if member.exchange.admit(from: id, now: member.queue.now) {
            let hints = (0..<SpreadSwarm.holdersWanted).map { _ in
                hint(Int.random(in: 0..<rendezvous.count(topic), using: &member.generator))
            }
            let teller = AddressBook.packed(peer.number).address
            member.queue.schedule(.found(hints, .exchange, teller: teller), after: 0.05)
        }
        member.queue.schedule(.told(id), after: ExchangeBook.pauseSeconds)
    }
}
