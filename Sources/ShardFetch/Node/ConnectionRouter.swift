internal import Logging
internal import PetalsCore
internal import Synchronization

/// Takes what comes on connections to whoever it is for, and keeps the list of connections.
final class ConnectionRouter: PeerConnectionDelegate {
    private struct State {
        var connections: [PeerConnection.ID: PeerConnection] = [:]
        var engine: FetchEngine?
        var documents: DocumentFetcher?
        var server: ShardServer?
        var discovery: Discovery?
        /// Nil for a node that does not donate.
        var donor: Donor?
        var catalogues: CatalogueExchange?
        var credit: CreditKeeper?
    }

    private let state = Mutex(State())
    private let transport: Transport
    private let logger: Logger

    init(transport: Transport, logger: Logger) {
        self.transport = transport
        self.logger = logger
    }

    /// Names the receivers; before the first connection.
    func connect(
        engine: FetchEngine, documents: DocumentFetcher, server: ShardServer,
        discovery: Discovery, catalogues: CatalogueExchange, credit: CreditKeeper
    ) {
        state.withLock { state in
            state.engine = engine
            state.documents = documents
            state.server = server
            state.discovery = discovery
            state.catalogues = catalogues
            state.credit = credit
        }
    }

    /// Names the donor of a running node, and tells it of the connections that there are.
    func connect(donor: Donor) {
        let connections = state.withLock { state in
            state.donor = donor
            return Array(state.connections.values)
        }
        for connection in connections { donor.connectionOpened(connection) }
    }

    /// Lets go of the donor.
    func disconnectDonor() { state.withLock { $0.donor = nil } }

    func connections() -> [PeerConnection] {
        state.withLock { $0.connections.values.sorted { $0.id < $1.id } }
    }

    func closeAll() {
        for connection in connections() { connection.close() }
    }

    func connectionOpened(_ connection: PeerConnection) -> Bool {
        let network = connection.network
        let refusal = transport.withBook {
            $0.open(
                connection.id, peer: connection.peerID, network: network, now: MonotonicClock.now)
        }
        if let refusal {
            logger.debug("no connection with \(connection.address): \(refusal)")
            return false
        }
        if let discovery = state.withLock({ $0.discovery }),
            !discovery.connectionOpened(connection)
        {
            transport.withBook { $0.close(connection.id) }
            logger.debug("this node is connected with \(connection.peerID.short) already")
            return false
        }
        let (server, documents, engine, catalogues, donor) = state.withLock { state in
            state.connections[connection.id] = connection
            return (state.server, state.documents, state.engine, state.catalogues, state.donor)
        }
        logger.info("connected with \(connection.peerID.short) at \(connection.address)")
        // First: a peer is told what receipts are wanted before anything is sent to it.
        state.withLock { $0.credit }?.connectionOpened(connection)
        donor?.connectionOpened(connection)
        server?.connectionOpened(connection)
        documents?.connectionOpened(connection)
        engine?.connectionOpened(connection)
        catalogues?.connectionOpened(connection)
        return true
    }

    func connection(_ connection: PeerConnection, received frame: InboundFrame) {
        let (server, documents, engine, discovery, donor) = state.withLock {
            ($0.server, $0.documents, $0.engine, $0.discovery, $0.donor)
        }
        if case .control(.peerExchange(let peers)) = frame {
            discovery?.receive(peers, from: connection)
            return
        }
        if donor?.receive(frame, from: connection) == true { return }
        if case .control(let message) = frame {
            let (catalogues, credit) = state.withLock { ($0.catalogues, $0.credit) }
            if catalogues?.receive(message, from: connection) == true { return }
            if credit?.receive(message, from: connection) == true { return }
            if server?.receive(message, from: connection) == true { return }
        }
        if documents?.receive(frame, from: connection) == true { return }
        _ = engine?.receive(frame, from: connection)
    }

    func connectionClosed(_ connection: PeerConnection, reason: String) {
        let (server, documents, engine, discovery, donor) = state.withLock { state in
            state.connections[connection.id] = nil
            return (state.server, state.documents, state.engine, state.discovery, state.donor)
        }
        transport.withBook { $0.close(connection.id) }
        logger.info(
            """
            no longer connected with \(connection.peerID.short) at \(connection.address): \
            \(reason)
            """
        )
        donor?.connectionClosed(connection)
        server?.connectionClosed(connection)
        documents?.connectionClosed(connection)
        engine?.connectionClosed(connection)
        discovery?.connectionClosed(connection)
        state.withLock { $0.catalogues }?.connectionClosed(connection)
        // Last: what was checked until now is counted.
        state.withLock { $0.credit }?.connectionClosed(connection)
    }

    /// Leaves a peer out that sent what it should not have: all its connections end.
    func blame(_ culprit: PeerConnection, _ offence: String) {
        // One liar on this machine does not speak for all that runs here.
        let host = culprit.network == nil ? nil : culprit.host
        // Several damaged leaves of one connection are one offence.
        let ban = transport.withBook { book -> Instant? in
            let now = MonotonicClock.now
            guard !book.isBanned(culprit.peerID, now: now) else { return nil }
            return book.blame(culprit.peerID, host: host, now: now)
        }
        if let seconds = ban {
            state.withLock { $0.credit }?.noteViolation(by: culprit.peerID)
            logger.warning(
                """
                peer \(culprit.peerID.short) at \(culprit.address) is left out for \
                \(Int(seconds / 60)) minutes: \(offence)
                """)
        }
        for connection in connections() where connection.peerID == culprit.peerID {
            connection.close()
        }
    }
}
