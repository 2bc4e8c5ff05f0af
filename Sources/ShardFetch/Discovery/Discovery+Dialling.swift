internal import Logging
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

// Dials and connections.

extension Discovery {
    /// Keeps a connection to each address, from now on.
    func give(_ endpoints: [SocketEndpoint]) {
        for endpoint in endpoints { _ = state.withLock { $0.plan.give(endpoint) } }
        wake()
    }

    /// Whether there is anywhere to look for peers.
    var canFindPeers: Bool { !sources.isEmpty || state.withLock { $0.plan.hasGiven } }

    /// Dials once, and notes what became of it when it is over.
    func dial(_ endpoint: SocketEndpoint, _ origin: PeerOrigin) async {
        state.withLock { $0.dialOrigins[endpoint] = origin }
        let outcome = await node.transport.dial(endpoint, delegate: node.router)
        let isNews = state.withLock { state -> Bool in
            state.dialOrigins[endpoint] = nil
            var generator = SystemRandomNumberGenerator()
            state.plan.ended(endpoint, outcome, now: MonotonicClock.now, using: &generator)
            if case .ended = outcome { return false }
            return state.plan.isGiven(endpoint) && state.warned.insert(endpoint).inserted
        }
        if isNews, !Task.isCancelled {
            switch outcome {
            case .ourselves:
                node.logger.warning("\(endpoint) leads back to this node; it is not dialled again")
            case .failed:
                node.logger.warning("\(endpoint) does not answer; it is dialled until it does")
            case .ended: break
            }
        }
        wake()
    }

    /// A connection is established; whether it may stay.
    ///
    /// Where two nodes have two connections, as when they dialled each other at the same moment,
    /// one goes, and both sides agree which: of two that crossed, the one that the node with the
    /// greater id dialled; else the newer one. Each side ends only what it dialled itself and
    /// nobody asked for by name.
    func connectionOpened(_ connection: PeerConnection) -> Bool {
        let now = MonotonicClock.now
        let (mayStay, redundant) = state.withLock { state -> (Bool, PeerConnection?) in
            let origin = connection.target.map { state.dialOrigins[$0] ?? .given }
            let twin = state.connections.values.first {
                $0.connection.peerID == connection.peerID
            }
            var redundant: PeerConnection?
            if let twin {
                let isCrossing = now - twin.openedAt < Self.crossingSeconds
                let isNewer = !isCrossing || loses(connection) || !loses(twin.connection)
                redundant = isNewer ? connection : twin.connection
            }
            if let loser = redundant, !mayEnd(loser, in: state, connecting: (connection, origin)) {
                redundant = nil
            }
            if redundant === connection {
                if let target = connection.target, let twin {
                    state.plan.attach(target, to: twin.connection.id)
                }
                return (false, nil)
            }
            state.connections[connection.id] = (connection, now)
            state.exchange.opened(connection.id, now: now)
            state.plan.opened(
                connection.id, target: connection.target, origin: origin,
                alias: connection.listenEndpoint, now: now)
            return (true, redundant)
        }
        redundant?.close()
        return mayStay
    }

    /// Of two connections that crossed, whether this one was dialled by the node with the greater
    /// id.
    private func loses(_ connection: PeerConnection) -> Bool {
        connection.dialled == (node.identity.peerID > connection.peerID)
    }

    /// Whether this node dialled the connection, to an address that no person named.
    private func mayEnd(
        _ connection: PeerConnection, in state: State,
        connecting: (connection: PeerConnection, origin: PeerOrigin?)
    ) -> Bool {
        guard let target = connection.target, !state.plan.isGiven(target) else { return false }
        let origin =
            connecting.connection === connection
            ? connecting.origin : state.plan.origin(of: connection.id)
        return (origin ?? .given) != .given
    }

    /// A connection that was allowed to stay is over.
    func connectionClosed(_ connection: PeerConnection) {
        state.withLock { state in
            if connection.hasProven { Self.note(connection, in: &state) }
            state.connections[connection.id] = nil
            state.exchange.closed(connection.id)
            state.plan.closed(connection.id)
        }
        wake()
    }

    /// Notes which connections have given verified leaves: for the plan at once, for later runs
    /// now and then.
    func noteProven(now: Instant) {
        let isTime = state.withLock { state in
            for (id, peer) in state.connections where peer.connection.hasProven {
                state.plan.proved(id)
                Self.note(peer.connection, in: &state)
            }
            guard remembers, now >= state.remembersAt else { return false }
            state.remembersAt = now + Self.rememberSeconds
            return true
        }
        if isTime { writeRemembered() }
    }

    /// Keeps the address of a peer that has given verified leaves, to be written down.
    private static func note(_ connection: PeerConnection, in state: inout State) {
        guard let endpoint = connection.dialableEndpoint,
            state.toRemember.count < Registry.peersMax
        else { return }
        state.toRemember.insert(endpoint)
    }

    // MARK: Status

    /// How this node learnt of a connected peer; nil where the peer dialled.
    func origin(of connection: PeerConnection) -> PeerOrigin? {
        state.withLock { $0.plan.origin(of: connection.id) }
    }

    /// What is known of each origin that is in use.
    func sourceStatus() -> [NodeStatus.Source] {
        let counts = state.withLock { $0.plan.counts }
        let used = Set(sources.map(\.origin))
        return PeerOrigin.allCases.compactMap { origin in
            guard let count = counts[origin],
                used.contains(origin) || count != DialPlan.Count()
            else { return nil }
            return NodeStatus.Source(
                origin: origin.rawValue, known: count.known, dialled: count.dialled,
                connected: count.connected)
        }
    }
}
