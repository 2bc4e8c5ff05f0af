internal import PetalsCore
internal import Synchronization

extension ShardServer {
    /// The part of a request that may be sent before its peer signs for what it has had; nil where
    /// that is nothing, and the request waits where it was.
    func admit(
        _ request: ControlMessage.LeafRequest, _ connection: PeerConnection
    ) -> ControlMessage.LeafRequest? {
        let granted = credit.reserve(request, on: connection)
        guard granted < request.leaves.count else { return request }
        let cut = request.leaves.lowerBound + granted
        state.withLock { state in
            state.clients[connection.id]?.putBack(
                request.with(leaves: cut..<request.leaves.upperBound), isUnpaid: granted == 0)
        }
        return granted == 0 ? nil : request.with(leaves: request.leaves.lowerBound..<cut)
    }

    /// A peer has signed: what it asks for need not wait for that any more.
    func hasRoom(_ connection: PeerConnection) {
        let wasUnpaid = state.withLock { state in
            defer { state.clients[connection.id]?.isUnpaid = false }
            return state.clients[connection.id]?.isUnpaid
        }
        if wasUnpaid == true { pump(connection) }
    }

    /// Looks whether anybody who waits has room without a receipt: nobody else may be waiting any
    /// more; called once a second.
    func lookForRoom() {
        let unpaid = state.withLock { state in
            state.clients.values.filter(\.isUnpaid).map(\.connection)
        }
        for connection in unpaid { hasRoom(connection) }
    }
}
