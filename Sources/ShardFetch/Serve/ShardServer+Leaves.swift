internal import DequeModule
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

extension ShardServer {
    /// Puts a request into its queue, or refuses it.
    func enqueue(_ request: ControlMessage.LeafRequest, _ connection: PeerConnection) {
        let bytes = request.leaves.count * Limits.leafBytes
        let admitted = state.withLock { state -> Bool in
            guard var client = state.clients[connection.id],
                client.demand.count + client.bulk.count < Limits.requestsPerPeerMax,
                client.owedBytes + bytes <= Limits.requestedBytesPerPeerMax
            else { return false }
            client.owedBytes += bytes
            if request.bulk {
                client.bulk.append(request)
            } else {
                client.demand.append(request)
            }
            state.clients[connection.id] = client
            return true
        }
        guard admitted else {
            return connection.send(.refuse(request: request.request, .busy))
        }
        pump(connection)
    }

    /// Takes a request out of its queue; what is being read or sent goes on.
    func cancel(_ request: UInt32, _ connection: PeerConnection) {
        state.withLock { state in
            guard var client = state.clients[connection.id] else { return }
            let before = client.demand.count + client.bulk.count
            let gone = (client.demand + client.bulk).filter { $0.request == request }
            guard !gone.isEmpty else { return }
            client.demand.removeAll { $0.request == request }
            client.bulk.removeAll { $0.request == request }
            assert(before - gone.count == client.demand.count + client.bulk.count)
            client.owedBytes -= gone.reduce(0) { $0 + $1.leaves.count * Limits.leafBytes }
            state.clients[connection.id] = client
        }
    }

    /// Starts a worker for a connection unless it has one, or has enough on its way.
    func pump(_ connection: PeerConnection) {
        let start = state.withLock { state -> Bool in
            guard var client = state.clients[connection.id], !client.isPumping,
                client.sendingBytes < Self.sendingBytesMax,
                !client.demand.isEmpty || !client.bulk.isEmpty
            else { return false }
            client.isPumping = true
            state.clients[connection.id] = client
            return true
        }
        guard start else { return }
        pool.submit { [self] poolState in
            guard case .active = poolState else { return }
            while let request = next(connection) { answer(request, connection) }
        }
    }

    /// The next request to answer; nil, and the worker's end, when there is none or enough is on
    /// its way.
    private func next(_ connection: PeerConnection) -> ControlMessage.LeafRequest? {
        state.withLock { state in
            guard var client = state.clients[connection.id] else { return nil }
            defer { state.clients[connection.id] = client }
            if client.sendingBytes < Self.sendingBytesMax,
                let request = client.demand.popFirst() ?? client.bulk.popFirst()
            {
                return request
            }
            client.isPumping = false
            return nil
        }
    }

    private func answer(_ request: ControlMessage.LeafRequest, _ connection: PeerConnection) {
        let bytes = request.leaves.count * Limits.leafBytes
        switch frames(for: request, connection) {
        case .failure(let refusal):
            settle(connection, owed: bytes, sending: 0)
            connection.send(.refuse(request: request.request, refusal.reason))
        case .success(let frames):
            state.withLock { $0.clients[connection.id]?.sendingBytes += bytes }
            for (frame, part) in frames {
                connection.send(frame) { [self] in
                    servedBytes.wrappingAdd(part, ordering: .relaxed)
                    settle(connection, owed: part, sending: part)
                    pump(connection)
                }
            }
        }
    }

    private func settle(_ connection: PeerConnection, owed: Int, sending: Int) {
        state.withLock { state in
            state.clients[connection.id]?.owedBytes -= owed
            state.clients[connection.id]?.sendingBytes -= sending
        }
    }

    private struct RefusalError: Error {
        let reason: ControlMessage.Refusal
    }

    /// The frames that answer a request, each with its number of leaf bytes.
    private func frames(
        for request: ControlMessage.LeafRequest, _ connection: PeerConnection
    ) -> Result<[(ByteBuffer, Int)], RefusalError> {
        guard let blob = joinedBlob(request.topic, connection) else {
            return .failure(RefusalError(reason: .unknown))
        }
        let address = request.address
        guard blob.geometry.contains(address),
            request.leaves.upperBound <= blob.geometry.leafCount(address)
        else { return .failure(RefusalError(reason: .badRequest)) }
        let step = request.bulk ? Limits.bulkFrameLeavesMax : Limits.leavesPerCell
        var frames: [(ByteBuffer, Int)] = []
        do throws(PetalsError) {
            for start in stride(
                from: request.leaves.lowerBound, to: request.leaves.upperBound, by: step)
            {
                let part = start..<min(start + step, request.leaves.upperBound)
                guard let (leaves, proof) = try blob.readForServing(address, leaves: part) else {
                    return .failure(RefusalError(reason: .notHeld))
                }
                let header = DataHeader(
                    request: request.request, leaves: part, proofCount: proof.count)
                let frame = FrameEncoder.data(header, proof: proof, leaves: leaves.bytes[...])
                frames.append((frame, leaves.bytes.count))
            }
        } catch {
            logger.warning("a request could not be served: \(error.message)")
            return .failure(RefusalError(reason: .broken))
        }
        return .success(frames)
    }
}
