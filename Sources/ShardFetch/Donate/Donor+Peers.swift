internal import PetalsCore
internal import PetalsStore
internal import Synchronization

/// What peers are and say.
extension Donor {
    func connectionOpened(_ connection: PeerConnection) {
        let peer = DonationPlan.Peer(connection.peerID)
        // One machine that runs several nodes for a test is not one that fails as a whole.
        var domain = peer.rawValue
        if let network = connection.network {
            domain = network.utf8.reduce(0xcbf2_9ce4_8422_2325) {
                ($0 ^ UInt64($1)) &* 0x100_0000_01b3
            }
        }
        state.withLock { state in
            state.connections[peer, default: []].append(connection)
            state.plan.peerOpened(peer, domain: domain, now: MonotonicClock.now)
        }
    }

    func connectionClosed(_ connection: PeerConnection) {
        auditor.connectionClosed(connection)
        let peer = DonationPlan.Peer(connection.peerID)
        state.withLock { state in
            state.connections[peer]?.removeAll { $0.id == connection.id }
            guard state.connections[peer]?.isEmpty == true else { return }
            state.connections[peer] = nil
            state.plan.peerClosed(peer, now: MonotonicClock.now)
        }
    }

    /// Handles a frame that is for donors; false when it is not.
    func receive(_ frame: InboundFrame, from connection: PeerConnection) -> Bool {
        guard case .control(.pledges(let pledges, let room)) = frame else {
            return auditor.receive(frame, from: connection)
        }
        let peer = DonationPlan.Peer(connection.peerID)
        let known = pledges.compactMap { pledge in
            node.engine.session(for: pledge.topic, on: connection).map { ($0, pledge) }
        }
        let now = MonotonicClock.now
        state.withLock { state in
            for (session, pledge) in known {
                guard let blob = state.handles[session.id] else { continue }
                state.plan.pledges(
                    peer, blob, adding: pledge.kept, removing: pledge.dropped, now: now)
            }
            state.plan.hasRoom(peer, room, now: now)
        }
        return true
    }

    func receive(_ event: HoldingsEvent) {
        let now = MonotonicClock.now
        state.withLock { state in
            switch event {
            case .joined(let connection, let session):
                guard let blob = state.handles[session.id] else { return }
                state.plan.forget(DonationPlan.Peer(connection.peerID), blob)
            case .holds(let connection, let session, let shards):
                guard let blob = state.handles[session.id] else { return }
                let peer = DonationPlan.Peer(connection.peerID)
                for (shard, isWhole) in shards {
                    state.plan.claims(
                        peer, DonationPlan.Shard(blob, shard), isWhole: isWhole, now: now)
                }
            }
        }
    }

    func demanded(_ bytes: Int, of shard: ShardIndex, _ id: BlobID) {
        state.withLock { state in
            guard let blob = state.handles[id] else { return }
            let shard = DonationPlan.Shard(blob, shard)
            state.plan.demanded(bytes, of: shard, now: MonotonicClock.now)
        }
    }
}
