internal import PetalsCodec
package import PetalsCore
package import PetalsStore
internal import Synchronization

/// A blob that this node fetches, reads or serves: what is on disk of it, and its name in the
/// scheduler.
package final class BlobSession: Sendable {
    package let stored: StoredBlob
    let handle: FetchScheduler.BlobHandle
    /// Why the last leaves that came could not be stored; nil when they were.
    let writeFailure = Mutex<PetalsError?>(nil)
    /// Shards of the blob that are being rebuilt for others: what comes for that alone is not
    /// stored.
    let rebuilds = Atomic<Int>(0)
    /// Shards that are being got for others, each with how many works get it.
    private let copied = Mutex<[ShardIndex: Int]>([:])
    /// How many works get some, so that a look at most blobs needs no lock.
    let copies = Atomic<Int>(0)
    /// Whether a donor wants to know who holds anything of it.
    let isWatched = Atomic<Bool>(false)

    /// How the blob is cut.
    package var geometry: BlobGeometry { stored.descriptor.geometry }
    /// The blob's name.
    package var id: BlobID { stored.id }

    init(stored: StoredBlob, handle: FetchScheduler.BlobHandle) {
        self.stored = stored
        self.handle = handle
    }

    /// Has what comes of some shards count as copies for others.
    func beginCopying(_ shards: [ShardIndex]) {
        copied.withLock { copied in
            for shard in shards { copied[shard, default: 0] += 1 }
        }
        copies.wrappingAdd(1, ordering: .relaxed)
    }

    /// The same is over.
    func endCopying(_ shards: [ShardIndex]) {
        copies.wrappingSubtract(1, ordering: .relaxed)
        copied.withLock { copied in
            for shard in shards {
                let left = (copied[shard] ?? 0) - 1
                copied[shard] = left > 0 ? left : nil
            }
        }
    }

    /// Whether any work gets a shard for others.
    func isCopied(_ shard: ShardIndex) -> Bool { copied.withLock { $0[shard] != nil } }

    func key(_ address: CellAddress) -> FetchScheduler.CellKey {
        FetchScheduler.CellKey(blob: handle, address: address)
    }

    func key(_ shard: ShardIndex) -> FetchScheduler.ShardKey {
        FetchScheduler.ShardKey(blob: handle, shard: shard)
    }

    /// The topic of the blob on a UTC day.
    func topic(day: UInt32) -> Topic {
        KeyDerivation.topic(stored.relayKey, of: stored.id, day: day)
    }
}
