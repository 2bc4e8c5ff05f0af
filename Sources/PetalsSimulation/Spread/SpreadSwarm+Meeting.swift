internal import PetalsCore
internal import ShardFetch

// How nodes meet: announcements, lookups, dials, exchange.

extension SpreadSwarm {
    /// Holders that a node looks for, as `Discovery` has it.
    static let holdersWanted = 8
    /// Seconds between two turns of a node's discovery loop while it lacks peers, and else: what is
    /// due then is due in seconds.
    static let lookSeconds: Instant = 0.25
    static let restSeconds: Instant = 2

    /// One turn of a node's discovery loop.
    func look(_ node: SpreadNode) {
        guard node.isHere else { return }
        let now = queue.now
        let isThin = !node.isFinished && node.holders.count < Self.holdersWanted
        let isWaiting = !node.isFinished && node.holders.isEmpty
        exchange(node)
        let due = node.lookups.due(
            waiting: isWaiting ? [topic] : [], thin: isThin ? [topic] : [],
            hasPeers: !node.peers.isEmpty, now: now)
        for topic in due { node.dht.find(topic, now: now) }
        if node.number == 0 || !node.shelf.cells.allSatisfy(\.isEmpty) {
            _ = node.dht.announce(topic, now: now)
        }
        askDHT(node)
        node.plan.setTopics(interests: [topic], wanted: isThin ? [topic] : [])
        while let action = node.plan.next(now: now, using: &node.generator) {
            switch action {
            case .dial(let endpoint, let origin): dial(node, endpoint, origin)
            case .close(let id):
                if let other = node.peers[id] { disconnect(node, nodes[other]) }
            }
        }
        queue.schedule(.look(node.number), after: isThin ? Self.lookSeconds : Self.restSeconds)
    }

    private func askDHT(_ node: SpreadNode) {
        while let action = node.dht.next(now: queue.now, using: &node.generator) {
            switch action {
            case .countNodes: node.dht.counted(nodes: scenario.nodes)
            case .bootstrap, .save: break
            case .announce:
                node.controlSent += rendezvous.datagrams
                queue.schedule(.announced(node.number), after: Rendezvous.lookupSeconds)
            case .find(let topic):
                node.controlSent += rendezvous.datagrams
                let found = rendezvous.find(topic, using: &generator)
                    .filter { $0 != node.number }
                let hints = found.map {
                    PeerHint(topic: topic, endpoint: addresses.endpoint(of: $0))
                }
                queue.schedule(
                    .found(node.number, hints, .dht, teller: nil),
                    after: Rendezvous.lookupSeconds)
            }
        }
    }

    // MARK: Dials

    private func dial(_ node: SpreadNode, _ endpoint: SocketEndpoint, _ origin: PeerOrigin) {
        node.dials.removeAll { queue.now - $0 >= 1 }
        node.dials.append(queue.now)
        if node.dials.count > Limits.dialsPerSecondMax {
            violations.append("node \(node.number) began \(node.dials.count) dials in a second")
        }
        guard let other = addresses.node(at: endpoint) else { return }
        // TCP, TLS 1.3 and Hello: three times there and back would be six ways; data follow the
        // last without waiting.
        queue.schedule(
            .dialled(node.number, other, endpoint, origin),
            after: 5 * spreadLatency(node.number, other))
    }

    func dialled(
        _ node: SpreadNode, _ other: SpreadNode, _ endpoint: SocketEndpoint, _ origin: PeerOrigin
    ) {
        let now = queue.now
        node.controlSent += 1
        if other === node {
            return node.plan.ended(endpoint, .ourselves, now: now, using: &node.generator)
        }
        guard node.isHere, other.isHere, other.peers.count < Limits.peersMax,
            node.peers.count < Limits.peersMax
        else { return node.plan.ended(endpoint, .failed, now: now, using: &node.generator) }
        other.controlSent += 1
        if let twin = node.connections[other.number] {
            node.plan.attach(endpoint, to: twin)
            return node.plan.ended(
                endpoint, .ended(after: 0), now: now, using: &node.generator)
        }
        let id = PeerConnection.ID(virtual: nextConnection)
        nextConnection += 1
        open(id, node, other, target: endpoint, origin: origin)
        open(id, other, node, target: nil, origin: nil)
        // Each joins the topic, and is told what the other has.
        let held = node.shelf.cells.indices.filter { !node.shelf.cells[$0].isEmpty }
        tell(held, of: node, to: other)
        let heldThere = other.shelf.cells.indices.filter { !other.shelf.cells[$0].isEmpty }
        tell(heldThere, of: other, to: node)
    }

    private func open(
        _ id: PeerConnection.ID, _ node: SpreadNode, _ other: SpreadNode, target: SocketEndpoint?,
        origin: PeerOrigin?
    ) {
        node.peers[id] = other.number
        node.connections[other.number] = id
        node.controlSent += 1
        node.scheduler.peerOpened(id)
        node.plan.opened(
            id, target: target, origin: origin,
            alias: target == nil ? addresses.endpoint(of: other.number) : nil, now: queue.now)
        node.exchange.opened(id, now: queue.now)
    }

    /// Ends the connection of two nodes.
    func disconnect(_ node: SpreadNode, _ other: SpreadNode) {
        guard let id = node.connections[other.number] else { return }
        for (one, two) in [(node, other), (other, node)] {
            one.peers[id] = nil
            one.connections[two.number] = nil
            one.holders.remove(id)
            one.scheduler.peerClosed(id)
            one.plan.closed(id)
            one.exchange.closed(id)
            one.plan.ended(
                addresses.endpoint(of: two.number), .ended(after: 60), now: queue.now,
                using: &one.generator)
            lines.cancel(from: one.number, to: two.number) { parcel in
                frames[parcel.id] = nil
                return true
            }
        }
        for one in [node, other] where one.isHere { act(one) }
    }

    /// A node stops.
    func leave(_ node: SpreadNode) {
        node.isHere = false
        lines.cut(node.number, now: queue.now)
        for other in node.connections.keys.sorted() { disconnect(node, nodes[other]) }
        rendezvous.withdraw(node.number, topic: topic)
    }

    // MARK: Exchange

    private func exchange(_ node: SpreadNode) {
        let now = queue.now
        let due = node.exchange.due(now: now)
        guard !due.isEmpty else { return }
        for (_, other) in node.peers.sorted(by: { $0.key < $1.key }) {
            node.exchange.saw(
                addresses.peerID(of: other), at: addresses.endpoint(of: other),
                address: addresses.address(of: other), blobs: [blobID], now: now)
        }
        for id in due {
            guard let other = node.peers[id] else { continue }
            let told = node.exchange.message(
                to: addresses.peerID(of: other), on: id, topics: [blobID: topic], now: now,
                using: &node.generator, mayHear: { _ in true })
            guard let told, !told.isEmpty else { continue }
            node.controlSent += 1
            guard nodes[other].exchange.admit(from: id, now: now) else {
                violations.append("node \(node.number) told \(other) of others too often")
                continue
            }
            queue.schedule(
                .found(
                    other, told.flatMap(\.hints), .exchange,
                    teller: addresses.address(of: node.number)),
                after: spreadLatency(node.number, other))
        }
    }
}
