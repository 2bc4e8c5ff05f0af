internal import DequeModule
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore

/// Verified leaves that came a moment ago, kept in memory for the reads that wait for them.
///
/// What read-ahead brings is usually read within a second. Answering from here saves reading it
/// back from the disk. A cell goes when it was read whole and lies on the disk; else first in,
/// first out, within a fixed number of bytes.
final class HotCells: Sendable {
    private struct State {
        var cells: [FetchScheduler.CellKey: [VerifiedLeaves]] = [:]
        var order: Deque<FetchScheduler.CellKey> = []
        var bytes = 0
    }

    private let state = UnfairLock(State())
    private let bytesMax: Int

    init(bytesMax: Int) {
        self.bytesMax = bytesMax
    }

    /// Keeps leaves; the oldest cells go when there is no room.
    func insert(_ leaves: VerifiedLeaves, blob: FetchScheduler.BlobHandle) {
        let key = FetchScheduler.CellKey(blob: blob, address: leaves.address)
        state.withLock { state in
            if state.cells[key] == nil { state.order.append(key) }
            state.cells[key, default: []].append(leaves)
            state.bytes += leaves.bytes.count
            while state.bytes > bytesMax, let oldest = state.order.popFirst() {
                for gone in state.cells.removeValue(forKey: oldest) ?? [] {
                    state.bytes -= gone.bytes.count
                }
            }
        }
    }

    /// Which leaves of a cell are here.
    func present(_ key: FetchScheduler.CellKey) -> LeafSet {
        state.withLock { state in
            (state.cells[key] ?? []).reduce(.none) { $0.union(LeafSet($1.leaves)) }
        }
    }

    /// The parts that hold leaves of a cell; together they may not be all of it.
    func parts(_ key: FetchScheduler.CellKey) -> [VerifiedLeaves] {
        state.withLock { $0.cells[key] ?? [] }
    }

    /// Lets go of a cell, which was read.
    func remove(_ key: FetchScheduler.CellKey) {
        state.withLock { state in
            for gone in state.cells.removeValue(forKey: key) ?? [] {
                state.bytes -= gone.bytes.count
            }
            // What was read is nearly always the oldest; what is not leaves a place in the order
            // that finds nothing when its turn comes.
            while let oldest = state.order.first, state.cells[oldest] == nil {
                state.order.removeFirst()
            }
            if state.order.count > 2 * state.cells.count + 64 {
                state.order.removeAll { state.cells[$0] == nil }
            }
        }
    }

    /// Forgets what is here of a blob.
    func remove(_ blob: FetchScheduler.BlobHandle) {
        state.withLock { state in
            for (key, parts) in state.cells where key.blob == blob {
                state.bytes -= parts.reduce(0) { $0 + $1.bytes.count }
                state.cells[key] = nil
            }
            state.order.removeAll { $0.blob == blob }
        }
    }

    /// Bytes kept at the moment.
    var bytes: Int { state.withLock { $0.bytes } }
}
