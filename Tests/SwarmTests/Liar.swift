import NIOCore
import PetalsCodec
import PetalsCore
import PetalsStore
import PetalsTesting
import Synchronization

@testable import ShardFetch

/// A holder that answers out of memory, honestly but for what a test changes.
struct Liar: Sendable {
    let blob: SampleBlob
    let shards: [ShardIndex]
    /// Changes an answer; nil: no answer.
    var answer: @Sendable (ControlMessage.LeafRequest, Answer) -> Answer? = { $1 }
    /// Changes a cell layer.
    var layer: @Sendable (ShardIndex, [Digest]) -> [Digest] = { $1 }
    /// Changes what is said to be held.
    var holdings: @Sendable ([ControlMessage.ShardHolding]) -> [ControlMessage.ShardHolding] = {
        $0
    }
    /// The descriptor as it is given out.
    var document: [UInt8]

    struct Answer: Sendable {
        var leaves: Range<Int>
        var proof: [Digest]
        var bytes: [UInt8]
    }

    init(_ blob: SampleBlob, shards: [Int]) {
        self.blob = blob
        self.shards = shards.map { ShardIndex($0) }
        document = blob.sealedDescriptor
    }

    var script: RawServer.Script {
        { frame, peer in
            guard case .control(let message) = frame else { return }
            switch message {
            case .join(let topic):
                let held = shards.map { ControlMessage.ShardHolding(shard: $0, cells: nil) }
                peer.send(.holdings(topic, holdings(held)))
            case .getDocument(let request, let digest):
                guard digest == blob.id else {
                    return peer.send(.refuse(request: request, .unknown))
                }
                let header = DocumentHeader(request: request, total: document.count, offset: 0)
                peer.send(FrameEncoder.document(header, chunk: document[...]))
            case .getCellLayer(let request, _, let shard):
                let hashes = layer(shard, blob.layers[shard.rawValue].cellHashes)
                let header = CellLayerHeader(request: request, cellCount: hashes.count)
                peer.send(FrameEncoder.cellLayer(header, hashes: hashes))
            case .request(let request): send(request, to: peer)
            case .ping(let token): peer.send(.pong(token))
            default: break
            }
        }
    }

    private func send(_ request: ControlMessage.LeafRequest, to peer: RawPeer) {
        guard shards.contains(request.address.shard), let cell = blob.cells[request.address] else {
            return peer.send(.refuse(request: request.request, .notHeld))
        }
        let honest = Answer(
            leaves: request.leaves,
            proof: HashTree.rangeProof(leafHashes: cell.leafHashes, range: request.leaves),
            bytes: cell.part(request.leaves).bytes)
        guard let said = answer(request, honest) else { return }
        let header = DataHeader(
            request: request.request, leaves: said.leaves, proofCount: said.proof.count)
        peer.send(FrameEncoder.data(header, proof: said.proof, leaves: said.bytes[...]))
    }
}

extension LoopbackNode {
    /// Whether the node leaves a peer out for lying.
    func blames(_ peer: PeerID) -> Bool {
        node.transport.withBook { $0.isBanned(peer, now: MonotonicClock.now) }
    }

    /// How many peers are known to hold anything of a shard.
    func holderCount(_ blob: SampleBlob, _ shard: ShardIndex) -> Int {
        guard let session = node.engine.openedSession(blob.id) else { return 0 }
        return node.engine.state.withLock { $0.scheduler.holderCount(session.key(shard)) }
    }

    /// Reads a whole file through the node.
    func readAll(_ record: FileRecord) async throws -> [UInt8] {
        try await node.reader(for: record).read(0..<record.size)
    }

    /// The code of the error that a read ends with; nil when it succeeds.
    func failure(of record: FileRecord, _ range: Range<Int>? = nil) async -> PetalsError.Code? {
        do throws(PetalsError) {
            _ = try await node.reader(for: record).read(range ?? 0..<record.size)
            return nil
        } catch {
            return error.code
        }
    }
}
