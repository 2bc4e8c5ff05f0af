internal import Logging
internal import PetalsCore
internal import Synchronization

/// What the blobs of one store share: the folder, the open files and the space.
final class StoreContext: Sendable {
    let folder: StateFolder
    let logger: Logger
    let files: FileTable
    let ledger: Mutex<SpaceLedger>
    private let blobs = Mutex<[Int32: WeakBlob]>([:])

    /// A blob that its store keeps alive.
    private struct WeakBlob: Sendable {
        weak var blob: StoredBlob?
    }

    init(folder: StateFolder, logger: Logger, limit: Int?, filesMax: Int) {
        self.folder = folder
        self.logger = logger
        files = FileTable(limit: filesMax)
        ledger = Mutex(SpaceLedger(limit: limit))
    }

    /// Makes a blob known by its number, so that its cells can be evicted.
    func register(_ blob: StoredBlob) {
        blobs.withLock { $0[blob.number] = WeakBlob(blob: blob) }
    }

    func unregister(_ number: Int32) {
        blobs.withLock { $0[number] = nil }
    }

    /// Reserves room for a cell, and evicts cached cells for it.
    ///
    /// The caller holds no lock of any blob: evicting takes those of the victims.
    ///
    /// - Throws: `.noSpace` when the limit leaves no room and nothing can be evicted.
    func reserve(_ length: Int, for shardClass: ShardClass) throws(PetalsError) {
        // Others may take what was evicted for us, so it can take several rounds, but not for ever.
        for _ in 0..<64 {
            let decision = ledger.withLock { $0.reserve(length, for: shardClass) }
            evict(decision.victims)
            if decision.isGranted { return }
            if decision.victims.isEmpty { break }
        }
        throw PetalsError(
            .noSpace,
            "the cache of \(folder.path) is full and nothing in it can be evicted; raise its limit "
                + "or unpin something")
    }

    /// Evicts cached cells because the disk, not the limit, is full.
    ///
    /// - Returns: whether anything was evicted.
    func evictForDisk(_ bytes: Int) -> Bool {
        let victims = ledger.withLock { $0.takeVictims(bytes) }
        evict(victims)
        return !victims.isEmpty
    }

    private func evict(_ victims: [SpaceLedger.CellKey]) {
        for key in victims {
            let blob = blobs.withLock { $0[key.blob]?.blob }
            if blob?.evictCached(key.address) != true {
                ledger.withLock { $0.spare(key) }
            }
        }
    }
}

/// A lock for the disk work on some cells; held while it writes.
final class Stripe: Sendable {
    private let mutex = Mutex(())

    func hold<Result: Sendable>(
        _ body: () throws(PetalsError) -> Result
    ) throws(PetalsError) -> Result {
        try mutex.withLock { (_) throws(PetalsError) in try body() }
    }
}
