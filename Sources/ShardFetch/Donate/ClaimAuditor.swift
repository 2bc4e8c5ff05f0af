internal import NIOCore
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

/// Asks a peer for one leaf of a shard that it claims to have, and checks it against the tree.
///
/// Which leaf is drawn by the system's generator, so that the peer cannot keep just that one. The
/// shard's tree comes from this node's store or from the peer itself, and a few are kept in memory:
/// checking costs no disk.
final class ClaimAuditor: Sendable {
    private struct Pending {
        let connection: PeerConnection.ID
        let continuation: CheckedContinuation<InboundFrame?, Never>
    }

    private struct LayerKey: Hashable {
        let blob: BlobID
        let shard: ShardIndex
    }

    private struct State {
        var pending: [UInt32: Pending] = [:]
        var layers: [LayerKey: CellLayer] = [:]
        /// Apart from those of the scheduler and of documents, which count up from below.
        var nextRequest = ClaimAuditor.requestMin
    }

    static let requestMin: UInt32 = 3 << 30
    /// Seconds for an answer: one leaf behind what else goes over a slow line.
    static let answerSeconds = 20
    /// Trees kept, of 24 KB at most.
    private static let layersMax = 64

    private let state = Mutex(State())
    private let engine: FetchEngine

    init(engine: FetchEngine) {
        self.engine = engine
    }

    /// Checks whether a peer has a shard.
    func audit(
        _ session: BlobSession, _ shard: ShardIndex, at connection: PeerConnection
    ) async -> DonationPlan.Verdict {
        guard session.geometry.contains(shard),
            let topic = engine.topic(of: session, on: connection)
        else { return .silent }
        var layer = layer(of: shard, session)
        if layer == nil {
            let answer = await ask(connection) {
                .getCellLayer(request: $0, topic: topic, shard: shard)
            }
            guard case .cellLayer(_, let hashes)? = answer else { return Self.verdict(on: answer) }
            layer = CellLayer(
                shard: shard, cellHashes: hashes, geometry: session.geometry,
                root: session.stored.descriptor.shardRoots[shard.rawValue])
            guard layer != nil else {
                engine.blame(connection, "the tree of shard \(shard) is not the published one")
                return .lied
            }
        }
        guard let layer else { return .silent }
        keep(layer, session)
        return await audit(session, layer, topic, at: connection)
    }

    private func audit(
        _ session: BlobSession, _ layer: CellLayer, _ topic: Topic, at connection: PeerConnection
    ) async -> DonationPlan.Verdict {
        let cells = session.geometry.cellCount(of: layer.shard)
        let address = CellAddress(
            shard: layer.shard, cell: CellIndex(Int.random(in: 0..<max(1, cells))))
        let leafCount = session.geometry.leafCount(address)
        let leaf = Int.random(in: 0..<max(1, leafCount))
        let answer = await ask(connection) {
            .request(
                .init(
                    request: $0, topic: topic, address: address, leaves: leaf..<leaf + 1,
                    bulk: true, price: connection.credit.offer))
        }
        guard case .data(let header, let proof, let bytes)? = answer else {
            return Self.verdict(on: answer)
        }
        let isSound =
            header.leaves == leaf..<leaf + 1
            && layer.verify(
                address: address, leaves: header.leaves, bytes: bytes, proof: proof,
                leafCount: leafCount) != nil
        guard isSound else {
            connection.send(.damaged(request: header.request))
            engine.blame(
                connection, "\(address) of blob \(session.id.short) is damaged, which it claims")
            return .lied
        }
        connection.noteProven()
        engine.credit.received(
            leaves: 1, of: session.id, address.shard, price: nil, from: connection)
        return .proved
    }

    private static func verdict(on answer: InboundFrame?) -> DonationPlan.Verdict {
        guard case .control(.refuse(_, let reason))? = answer else { return .silent }
        switch reason {
        case .unknown, .notHeld, .badRequest, .broken: return .refused
        case .busy, .unspecified: return .silent
        }
    }

    // MARK: Trees

    private func layer(of shard: ShardIndex, _ session: BlobSession) -> CellLayer? {
        if let layer = session.stored.layer(of: shard) { return layer }
        return state.withLock { $0.layers[LayerKey(blob: session.id, shard: shard)] }
    }

    private func keep(_ layer: CellLayer, _ session: BlobSession) {
        state.withLock { state in
            if state.layers.count >= Self.layersMax { state.layers.removeAll() }
            state.layers[LayerKey(blob: session.id, shard: layer.shard)] = layer
        }
    }

    // MARK: Asking

    /// Asks a peer and waits for the one frame that answers; nil where none comes in time.
    private func ask(
        _ connection: PeerConnection, _ question: (UInt32) -> ControlMessage
    ) async -> InboundFrame? {
        let request = state.withLock { state in
            state.nextRequest = max(state.nextRequest &+ 1, Self.requestMin)
            return state.nextRequest
        }
        let message = question(request)
        let timer = Task { [weak self] in
            // Cancelled: the answer is here.
            guard (try? await Task.sleep(for: .seconds(Self.answerSeconds))) != nil else { return }
            self?.finish(request, nil)
        }
        let answer = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                state.withLock {
                    $0.pending[request] = Pending(
                        connection: connection.id, continuation: continuation)
                }
                // A cancellation that came before the line above found nothing to finish.
                guard !Task.isCancelled else { return finish(request, nil) }
                connection.send(message)
            }
        } onCancel: {
            finish(request, nil)
        }
        timer.cancel()
        return answer
    }

    private func finish(_ request: UInt32, _ frame: InboundFrame?) {
        let pending = state.withLock { $0.pending.removeValue(forKey: request) }
        pending?.continuation.resume(returning: frame)
    }

    /// Handles a frame that answers a check; false when it answers none.
    func receive(_ frame: InboundFrame, from connection: PeerConnection) -> Bool {
        let request: UInt32
        switch frame {
        case .data(let header, _, _): request = header.request
        case .cellLayer(let header, _): request = header.request
        case .control(.refuse(let refused, _)): request = refused
        default: return false
        }
        guard request >= Self.requestMin else { return false }
        let isExpected = state.withLock { $0.pending[request]?.connection == connection.id }
        if isExpected { finish(request, frame) }
        return true
    }

    func connectionClosed(_ connection: PeerConnection) {
        let gone = state.withLock { state in
            state.pending.filter { $0.value.connection == connection.id }.keys.sorted()
        }
        for request in gone { finish(request, nil) }
    }
}
