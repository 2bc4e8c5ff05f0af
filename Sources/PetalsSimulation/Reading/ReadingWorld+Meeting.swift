internal import PetalsCore
internal import PetalsTesting
internal import ShardFetch

/// What surrounds readers that know nobody: a DHT of which each answer is hostile, and help.
struct Eclipse {
    /// Where help comes from.
    enum Help: Hashable {
        /// A person names the address of somebody who has the file.
        case named
        /// A person names the address of a peer that has nothing and tells of one who has it.
        case told
    }

    let help: Help
    /// When it comes.
    let helpAt: Instant
    /// Who has the file, and who tells of him.
    let honest: Int
    let friend: Int
    /// What the DHT's nodes answer: addresses of liars, and of nobody.
    let answers: [NumericEndpoint]
    /// What the friend tells of whom.
    var exchange = ExchangeBook()
}

extension ReadingWorld {
    /// Seconds between two turns of a discovery loop while a read waits.
    private static let lookSeconds: Instant = 0.05
    /// Holders of which a node wants no more, as `Discovery` has it.
    private static let holdersWanted = 8
    /// Until a dial to an address where nobody answers is over.
    private static let deadSeconds: Instant = 5

    private static let topic = AddressBook.topic(1)

    /// Has readers find their peers from now on.
    func begin(_ eclipse: Eclipse) {
        self.eclipse = eclipse
        for reader in readers { queue.schedule(.look(reader.number), after: 0) }
    }

    /// One turn of a reader's discovery loop.
    func look(_ reader: ReadingNode) {
        let now = queue.now
        help(reader)
        tellOthers(reader)
        let isWaiting = !reader.scheduler.stuckKeys.isEmpty
        let count = reader.peers.values.count { !holders[$0].claimed(of: blob.geometry).isEmpty }
        let isThin = reader.read != nil && count < Self.holdersWanted
        let due = reader.lookups.due(
            waiting: isWaiting ? [Self.topic] : [], thin: isThin ? [Self.topic] : [],
            hasPeers: !reader.peers.isEmpty, now: now)
        for topic in due { reader.dht.find(topic, now: now) }
        askDHT(reader)
        reader.plan.setTopics(
            interests: [Self.topic], wanted: isWaiting || isThin ? [Self.topic] : [])
        while let action = reader.plan.next(now: now, using: &reader.generator) {
            switch action {
            case .dial(let endpoint, let origin):
                let number = addresses.node(at: endpoint)
                let seconds =
                    number.map { 5 * spreadLatency($0, reader.line) } ?? Self.deadSeconds
                queue.schedule(.dialled(reader.number, endpoint, origin), after: seconds)
            case .close(let id):
                if let number = reader.peers[id] { close(reader, number) }
            }
        }
        queue.schedule(.look(reader.number), after: Self.lookSeconds)
    }

    /// A person names an address.
    private func help(_ reader: ReadingNode) {
        guard let eclipse, queue.now >= eclipse.helpAt else { return }
        let number = eclipse.help == .named ? eclipse.honest : eclipse.friend
        let endpoint = addresses.endpoint(of: number)
        guard !reader.plan.isGiven(endpoint) else { return }
        if scenario.isDefended {
            _ = reader.plan.give(endpoint)
        } else {
            hint([endpoint], .dht, to: reader)
        }
    }

    private func askDHT(_ reader: ReadingNode) {
        while let action = reader.dht.next(now: queue.now, using: &reader.generator) {
            switch action {
            case .countNodes: reader.dht.counted(nodes: 1000)
            case .bootstrap, .save, .announce: break
            case .find:
                // Eight nodes keep a topic, and each answers with as many as fit a datagram.
                var sampler = AnswerSampler()
                var found: [SocketEndpoint] = []
                for _ in 0..<8 {
                    let answer = (0..<100).compactMap { _ in
                        eclipse?.answers.randomElement(using: &generator)
                    }
                    found += sampler.sample(answer, using: &generator).map(\.socketEndpoint)
                }
                queue.schedule(
                    .found(
                        reader.number, found.map { PeerHint(topic: Self.topic, endpoint: $0) },
                        .dht, teller: nil), after: Rendezvous.lookupSeconds)
            }
        }
    }

    private func hint(
        _ endpoints: [SocketEndpoint], _ origin: PeerOrigin, to reader: ReadingNode
    ) {
        found(
            reader, endpoints.map { PeerHint(topic: Self.topic, endpoint: $0) }, origin, nil)
    }

    /// Hears of addresses; where origins have no turns of their own, all are as the DHT's.
    func found(
        _ reader: ReadingNode, _ hints: [PeerHint], _ origin: PeerOrigin, _ teller: IPAddress?
    ) {
        if origin == .dht { reader.dht.answered(Self.topic, now: queue.now) }
        reader.plan.hint(
            hints, from: scenario.isDefended ? origin : .dht, teller: teller, now: queue.now,
            using: &reader.generator)
    }

    // MARK: Dials

    func dialled(_ reader: ReadingNode, _ endpoint: SocketEndpoint, _ origin: PeerOrigin) {
        let now = queue.now
        guard let number = addresses.node(at: endpoint), holders.indices.contains(number) else {
            return reader.plan.ended(endpoint, .failed, now: now, using: &reader.generator)
        }
        if let twin = reader.connections[number] {
            reader.plan.attach(endpoint, to: twin)
            return reader.plan.ended(
                endpoint, .ended(after: 0), now: now, using: &reader.generator)
        }
        guard let id = connect(reader, number) else {
            return reader.plan.ended(endpoint, .failed, now: now, using: &reader.generator)
        }
        reader.plan.opened(id, target: endpoint, origin: origin, alias: nil, now: now)
        reader.exchange.opened(id, now: now)
        if number == eclipse?.friend { eclipse?.exchange.opened(id, now: now) }
        if holders[number].manner.isHostile { lie(id, number, to: reader) }
    }

    // MARK: Exchange

    /// A liar tells of fifty others that are liars or nobody, as soon as it is listened to.
    private func lie(_ id: PeerConnection.ID, _ number: Int, to reader: ReadingNode) {
        guard let eclipse, reader.exchange.admit(from: id, now: queue.now) else { return }
        let told = (0..<Limits.exchangedPeersMax).compactMap { _ in
            eclipse.answers.randomElement(using: &generator)?.socketEndpoint
        }
        queue.schedule(
            .found(
                reader.number, told.map { PeerHint(topic: Self.topic, endpoint: $0) },
                .exchange, teller: addresses.address(of: number)), after: ExchangeBook.firstSeconds)
    }

    /// The friend tells of the one who has the file.
    private func tellOthers(_ reader: ReadingNode) {
        guard let eclipse, eclipse.help == .told,
            let id = reader.connections[eclipse.friend]
        else { return }
        let honest = eclipse.honest
        let now = queue.now
        self.eclipse?.exchange.saw(
            holders[honest].peer, at: addresses.endpoint(of: honest),
            address: addresses.address(of: honest), blobs: [blob.id], now: now)
        let told = self.eclipse?.exchange.message(
            to: addresses.peerID(of: reader.line), on: id, topics: [blob.id: Self.topic],
            now: now, using: &generator, mayHear: { _ in true })
        guard let told, reader.exchange.admit(from: id, now: now) else { return }
        queue.schedule(
            .found(
                reader.number, told.flatMap(\.hints), .exchange,
                teller: addresses.address(of: eclipse.friend)),
            after: spreadLatency(eclipse.friend, reader.line))
    }
}
