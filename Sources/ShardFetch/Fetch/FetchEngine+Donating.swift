internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

/// What a donor hears of peers that hold shards.
enum HoldingsEvent: Sendable {
    /// A blob's topic was joined on a connection: what the peer holds of it is told from now on.
    case joined(PeerConnection, BlobSession)
    /// A peer says of shards whether it has all of them.
    case holds(PeerConnection, BlobSession, [(shard: ShardIndex, isWhole: Bool)])
}

/// What only donors need of the engine.
extension FetchEngine {
    /// The session behind a topic that was joined on a connection.
    func session(for topic: Topic, on connection: PeerConnection) -> BlobSession? {
        state.withLock { state in
            let joined = state.joined[connection.id]?.first { $0.topic == topic }
            return joined.flatMap { state.sessions[$0.blob] }
        }
    }

    /// The topic by which a blob was joined on a connection.
    func topic(of session: BlobSession, on connection: PeerConnection) -> Topic? {
        state.withLock { state in
            state.joined[connection.id]?.first { $0.blob == session.handle }?.topic
        }
    }

    /// Joins a blob's topic anew on every connection, so that all that peers hold is told again.
    func rejoin(_ session: BlobSession) {
        let messages = state.withLock { state -> [(PeerConnection, Topic)] in
            state.joined.compactMap { id, joined in
                guard let connection = state.connections[id],
                    let topic = joined.first(where: { $0.blob == session.handle })?.topic
                else { return nil }
                return (connection, topic)
            }
        }
        for (connection, topic) in messages { connection.send([.leave(topic), .join(topic)]) }
        joinEverywhere(session)
    }

    /// Whether leaves that came may be written to the disk.
    ///
    /// What only serves to rebuild a shard of a donor is not: it has no room for k shards where it
    /// keeps one.
    func mayKeep(_ key: FetchScheduler.CellKey, _ session: BlobSession) -> Bool {
        guard session.rebuilds.load(ordering: .relaxed) > 0,
            session.stored.shardClass(of: key.address.shard) == .cached
        else { return true }
        return state.withLock { $0.scheduler.jobs[key]?.wanted.isEmpty == false }
    }

    /// Lets go of the cells from which others of their row were rebuilt, once nothing more is.
    func releaseSources(inRowOf address: CellAddress, _ session: BlobSession) {
        guard session.rebuilds.load(ordering: .relaxed) > 0 else { return }
        let key = session.key(address)
        guard !state.withLock({ $0.scheduler.wantsAny(inRowOf: key) }) else { return }
        let geometry = session.geometry
        let row = geometry.row(of: address)
        for column in 0..<geometry.groupShards {
            let other = geometry.address(row: row, column: column)
            let isPassing = session.stored.shardClass(of: other.shard) == .cached
            if isPassing { hot.remove(session.key(other)) } else { release(session, other) }
        }
    }
}
