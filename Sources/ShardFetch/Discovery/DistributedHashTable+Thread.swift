internal import Foundation
internal import Logging
internal import NIOCore
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

extension DistributedHashTable {
    /// How often a session is waited for to say whether it listens, a fifth of a second each; it
    /// takes milliseconds.
    ///
    /// Counted and not timed, since a process that was stopped for a while has lost no turn.
    private static let listenTurnsMax = 50
    /// Events that are handled before it is looked what else is due.
    private static let eventsPerTurnMax = 1000

    /// What the thread knows, and nobody else needs to.
    struct Turns {
        /// The TCP port to announce, and the one of it that a router forwards.
        let port: UInt16
        var mappedPort: UInt16?
        let found: @Sendable ([PeerHint]) -> Void
        var lookups = RecentLookups()
        var generator = SystemRandomNumberGenerator()
        /// Where others see this node.
        var ownAddresses: Set<IPAddress> = []
        /// Sockets were opened since routers were last asked to forward the port.
        var mustMap = false
        var hasFailed = false

        /// The port under which peers reach this node; 0: none.
        var announcedPort: UInt16 { port == 0 ? 0 : mappedPort ?? port }

        /// Whether an endpoint is what this node itself announces.
        func isOwn(_ endpoint: NumericEndpoint) -> Bool {
            endpoint.port == announcedPort && ownAddresses.contains(endpoint.address)
        }

        /// Remembers an address of ours; a machine that has had more than a few starts anew.
        mutating func addOwn(_ address: IPAddress) {
            if ownAddresses.count >= 64 { ownAddresses = [] }
            ownAddresses.insert(address)
        }
    }

    /// The thread's whole life; `started` is called once.
    func run(
        port: UInt16, found: @escaping @Sendable ([PeerHint]) -> Void,
        started: (Result<Void, PetalsError>) -> Void
    ) {
        var turns = Turns(port: port, found: found)
        var failure: PetalsError?
        do throws(PetalsError) {
            let session = try RendezvousSession(
                configuration: configuration,
                nodes: configuration.bootstrap.compactMap { NumericEndpoint($0) },
                state: loadTable())
            try listen(session, &turns)
            state.withLock { $0.session = session }
            started(.success(()))
            while state.withLock({ $0.phase == .running }) { turn(session, &turns) }
            // Nobody wakes a session that is going away.
            state.withLock { $0.session = nil }
            saveTable(session)
        } catch {
            failure = error
        }
        let waiting = state.withLock { state in
            defer { state.stopping = [] }
            state.phase = .idle
            return state.stopping
        }
        // Last, so that whoever is told so can start again.
        if let failure { started(.failure(failure)) }
        for continuation in waiting { continuation.resume() }
    }

    /// Waits until one address is listened on.
    private func listen(
        _ session: RendezvousSession, _ turns: inout Turns
    ) throws(PetalsError) {
        let places = configuration.listen.map(\.description).joined(separator: " and ")
        var reason = "it did not say why"
        var turnsLeft = Self.listenTurnsMax
        while turnsLeft > 0 {
            turnsLeft -= 1
            switch try session.poll(seconds: 0.2) {
            case .listening(let endpoint): return opened(endpoint, &turns)
            case .listenFailed(let text):
                reason = text
                // Another address may do; failures come first, and successes right after them.
                turnsLeft = min(turnsLeft, 3)
            default: break
            }
        }
        throw PetalsError(
            .system,
            "the DHT cannot listen on \(places): \(reason); give an address of this machine")
    }

    /// Does what is due, then waits for what comes.
    private func turn(_ session: RendezvousSession, _ turns: inout Turns) {
        let (action, pause, resolved) = state.withLock { state in
            let now = MonotonicClock.now
            let action = state.schedule.next(now: now, using: &turns.generator)
            defer { state.resolved = [] }
            let pause = min(state.schedule.pause(now: now), state.items.pause(now: now))
            return (action, pause, state.resolved)
        }
        if !resolved.isEmpty { session.addNodes(resolved) }
        if let action { perform(action, session, &turns) } else { performItems(session, &turns) }
        do throws(PetalsError) {
            // After an action there may be another one to do.
            var wait = action == nil ? pause : 0
            for _ in 0..<Self.eventsPerTurnMax {
                guard let event = try session.poll(seconds: wait) else { break }
                handle(event, &turns)
                wait = 0
            }
            // Once for all sockets of a batch: each request is for all of them.
            if turns.mustMap { session.mapPort(turns.port) }
            turns.mustMap = false
        } catch {
            if !turns.hasFailed { logger.error("\(error.message)") }
            turns.hasFailed = true
            Thread.sleep(forTimeInterval: 1)
        }
    }

    // MARK: Out

    private func perform(
        _ action: DHTSchedule.Action, _ session: RendezvousSession, _ turns: inout Turns
    ) {
        switch action {
        case .announce(let topic):
            turns.lookups.begin(topic)
            // Who cannot be reached has nothing to announce, and may still look.
            let port = turns.announcedPort
            if port > 0 { session.announce(topic, port: port) } else { session.find(topic) }
        case .find(let topic):
            turns.lookups.begin(topic)
            session.find(topic)
        case .countNodes: session.countNodes()
        case .bootstrap: bootstrap(session)
        case .save: saveTable(session)
        }
    }

    /// Asks the nodes to begin with; those that have names, when they have been looked up.
    ///
    /// Looking up a name can take half a minute where there is no network, and cannot be ended. So
    /// that happens on a thread that nobody waits for.
    private func bootstrap(_ session: RendezvousSession) {
        session.addNodes(configuration.routers.compactMap { NumericEndpoint($0) })
        let named = configuration.routers.filter { NumericEndpoint($0) == nil }
        let isIdle = state.withLock { state in
            defer { state.isResolving = true }
            return !state.isResolving
        }
        guard !named.isEmpty, isIdle else { return }
        Thread.detachNewThread { [self] in
            let resolved = named.compactMap { Self.resolve($0) }
            if resolved.isEmpty { logger.debug("no name of a DHT node can be looked up") }
            state.withLock { state in
                state.isResolving = false
                state.resolved = resolved
                state.wake()
            }
        }
    }

    private static func resolve(_ endpoint: SocketEndpoint) -> NumericEndpoint? {
        // A name that cannot be looked up now is looked up again.
        guard
            let address = try? SocketAddress.makeAddressResolvingHost(
                endpoint.host, port: endpoint.port),
            let numeric = try? SocketEndpoint(parsing: SocketEndpoint.text(address))
        else { return nil }
        return NumericEndpoint(numeric)
    }

    // MARK: In

    private func handle(_ event: RendezvousEvent, _ turns: inout Turns) {
        switch event {
        case .listening(let endpoint): opened(endpoint, &turns)
        case .listenFailed(let reason): logger.warning("the DHT lost an address: \(reason)")
        case .peers(let topic, let endpoints): answered(topic, endpoints, &turns)
        case .nodes(let count): counted(count)
        case .portMapped(let port): mapped(port, &turns)
        case .portFailed(let reason):
            logger.warning(
                """
                a router does not forward port \(turns.port): \(reason); forward it by hand, or \
                peers cannot connect from outside
                """)
        case .externalAddress(let endpoint):
            turns.addOwn(endpoint.address)
            logger.debug("the DHT sees this node at \(endpoint.address)")
        case .item(let item): foundItem(item)
        }
    }

    private func opened(_ endpoint: NumericEndpoint, _ turns: inout Turns) {
        let socket = endpoint.socketEndpoint
        logger.info("the DHT listens on \(socket)")
        turns.addOwn(endpoint.address)
        state.withLock { state in
            // Sockets come and go with the machine's addresses, and only their coming is told.
            state.status.listening.removeAll { $0.host == socket.host }
            state.status.listening = [socket] + state.status.listening.prefix(7)
        }
        turns.mustMap = configuration.mapsPorts && turns.port > 0
    }

    private func answered(_ topic: Topic, _ endpoints: [NumericEndpoint], _ turns: inout Turns) {
        let usable = endpoints.filter { endpoint in
            configuration.accepts(endpoint) && !turns.isOwn(endpoint)
        }
        guard !usable.isEmpty else { return }
        state.withLock { $0.schedule.answered(topic, now: MonotonicClock.now) }
        let hints = turns.lookups.sample(topic, usable, using: &turns.generator)
            .map { PeerHint(topic: topic, endpoint: $0.socketEndpoint) }
        if !hints.isEmpty { turns.found(hints) }
    }

    private func counted(_ count: Int) {
        let former = state.withLock { state in
            defer { state.status.nodes = count }
            state.schedule.counted(nodes: count)
            return state.status.nodes
        }
        if former == 0, count > 0 { logger.info("the DHT is joined") }
        if former > 0, count == 0 { logger.info("the DHT is lost; its nodes are asked again") }
    }

    private func mapped(_ port: Int, _ turns: inout Turns) {
        guard let port = UInt16(exactly: port), turns.mappedPort != port else { return }
        turns.mappedPort = port
        logger.info("a router forwards its port \(port) to \(turns.port)")
        state.withLock { state in
            state.status.mappedPort = Int(port)
            // What was announced named another port.
            if port != turns.port { state.schedule.announceAgain(now: MonotonicClock.now) }
        }
    }

    // MARK: The routing table

    private func loadTable() -> [UInt8] {
        guard let path = configuration.statePath else { return [] }
        do throws(PetalsError) {
            return try StateFile.read(path, bytesMax: RendezvousSession.stateBytesMax) ?? []
        } catch {
            logger.warning("the DHT starts without its routing table: \(error)")
            return []
        }
    }

    /// Saves what is known; a table without nodes would only replace a better one.
    private func saveTable(_ session: RendezvousSession) {
        guard let path = configuration.statePath, status.nodes > 0, let table = session.save()
        else { return }
        do throws(PetalsError) {
            try StateFile.replace(path, with: table)
        } catch {
            logger.warning("the DHT's routing table is not saved: \(error)")
        }
    }
}
