internal import Logging
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

// Peer exchange: what this node tells its peers of each other, and what they tell it.

extension Discovery {
    /// Tells those peers of others for whom it is time.
    func exchangePeers(now: Instant) {
        guard exchanges, state.withLock({ !$0.exchange.due(now: now).isEmpty }) else { return }
        let joined = node.server.joinedBlobs()
        let held = node.engine.heldBlobs()
        let messages = state.withLock { state -> [(PeerConnection, ControlMessage)] in
            for (id, peer) in state.connections {
                guard let endpoint = peer.connection.dialableEndpoint,
                    let address = IPAddress(parsing: endpoint.host)
                else { continue }
                let blobs = Set((joined[id] ?? [:]).keys).union(held[id] ?? [])
                state.exchange.saw(
                    peer.connection.peerID, at: endpoint, address: address, blobs: blobs, now: now)
            }
            var generator = SystemRandomNumberGenerator()
            let rules = state.plan.rules
            return state.exchange.due(now: now).compactMap { id in
                guard let connection = state.connections[id]?.connection else { return nil }
                let receiver = IPAddress(parsing: connection.host)
                let peers = state.exchange.message(
                    to: connection.peerID, on: id, topics: joined[id] ?? [:], now: now,
                    using: &generator
                ) { rules.mayTell($0, to: receiver) }
                return peers.map { (connection, .peerExchange($0)) }
            }
        }
        for (connection, message) in messages { connection.send(message) }
    }

    /// Takes what a peer tells of others.
    func receive(_ peers: [ControlMessage.ExchangedPeer], from connection: PeerConnection) {
        guard exchanges else { return }
        let isAdmitted = state.withLock {
            $0.exchange.admit(from: connection.id, now: MonotonicClock.now)
        }
        guard isAdmitted else {
            return node.logger.debug("\(connection.peerID.label) tells of others too often")
        }
        found(
            peers.flatMap(\.hints), from: .exchange, teller: IPAddress(parsing: connection.host))
    }
}

extension PeerConnection {
    /// Where the peer can be dialled: where this node dialled it, or where it says that it listens.
    var dialableEndpoint: SocketEndpoint? {
        guard let target else { return listenEndpoint }
        return IPAddress(parsing: host).map { SocketEndpoint($0, port: target.port) }
    }
}

extension ShardServer {
    /// The blobs whose topics peers have joined, by connection, with the topic of each.
    func joinedBlobs() -> [PeerConnection.ID: [BlobID: Topic]] {
        let clients = state.withLock { $0.clients }
        return clients.mapValues { client in
            var blobs: [BlobID: Topic] = [:]
            for topic in client.topics {
                let blob = client.joined[topic]?.blob ?? topics.blob(for: topic)
                if let blob { blobs[blob.id] = topic }
            }
            return blobs
        }
    }
}

extension FetchEngine {
    /// The blobs of which peers have said that they hold something, by connection.
    func heldBlobs() -> [PeerConnection.ID: Set<BlobID>] {
        state.withLock { state in
            var blobs: [PeerConnection.ID: Set<BlobID>] = [:]
            for (key, peers) in state.scheduler.holders {
                guard let id = state.sessions[key.blob]?.id else { continue }
                for peer in peers.keys { blobs[peer, default: []].insert(id) }
            }
            return blobs
        }
    }
}
