internal import PetalsCore
internal import PetalsStore
internal import Synchronization

extension ShardServer {
    /// Tells a peer what has changed of what this node keeps of the topics that the peer joined,
    /// and of the room that it has left as a donor.
    ///
    /// One message for all topics, once a second at most; what does not fit follows. A node that
    /// sends nothing keeps nothing for others.
    func tellPledges(_ connection: PeerConnection) {
        guard let client = state.withLock({ $0.clients[connection.id] }) else { return }
        let isServing = isServing
        var pledges: [ControlMessage.Pledge] = []
        var places = Limits.pledgedShardsMax
        for (topic, told) in client.joined where places > 0 {
            let changes = told.blob.changes
            guard told.pledgeChanges != changes, client.topics.contains(topic) else { continue }
            let kept = isServing ? told.blob.keptShards() : []
            let added = kept.subtracting(told.pledged).sorted().prefix(places)
            let removed = told.pledged.subtracting(kept).sorted().prefix(places - added.count)
            let pledged = told.pledged.union(added).subtracting(removed)
            let isCurrent = state.withLock { state -> Bool in
                guard state.clients[connection.id]?.joined[topic] != nil else { return false }
                state.clients[connection.id]?.joined[topic]?.pledged = pledged
                state.clients[connection.id]?.joined[topic]?.pledgeChanges =
                    pledged == kept ? changes : nil
                return true
            }
            guard isCurrent, !added.isEmpty || !removed.isEmpty else { continue }
            places -= added.count + removed.count
            pledges.append(.init(topic: topic, kept: Array(added), dropped: Array(removed)))
        }
        let room = isServing ? donorRoom.withLock { $0 } : nil
        guard !pledges.isEmpty || room != client.toldRoom else { return }
        state.withLock { $0.clients[connection.id]?.toldRoom = room }
        connection.send(.pledges(pledges, room: room))
    }
}
