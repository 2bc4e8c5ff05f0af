internal import Glibc
internal import Logging
internal import PetalsCore
internal import Synchronization

/// What the blobs of one store share: the folder, the open files and the space.
final class StoreContext: Sendable {
    let folder: StateFolder
    let logger: Logger
    let files: FileTable
    let ledger: UnfairLock<SpaceLedger>
    let drafts = Mutex(DraftBook())
    private let probe: DiskProbe
    private let blobs = Mutex<[Int32: WeakBlob]>([:])

    /// A blob that its store keeps alive.
    private struct WeakBlob: Sendable {
        weak var blob: StoredBlob?
    }

    /// - Parameter floor: as in `Store.init`.
    init(
        folder: StateFolder, logger: Logger, limit: Int?, floor: Int?, filesMax: Int,
        probe: DiskProbe
    ) throws(PetalsError) {
        self.folder = folder
        self.logger = logger
        self.probe = probe
        files = FileTable(limit: filesMax)
        let chosen: Int
        if let floor {
            chosen = floor
        } else {
            let size = try probe.readSpace(folder.path).size
            chosen = FreeSpace.defaultFloor(diskSize: size)
        }
        ledger = UnfairLock(SpaceLedger(limit: limit, floor: chosen))
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
    /// - Throws: `.noSpace` when the limit or the disk leaves no room and nothing can be evicted;
    ///   `.system` when the disk cannot be asked.
    func reserve(_ length: Int, for shardClass: ShardClass) throws(PetalsError) {
        var hasEvictedForDisk = false
        // Others may take what was evicted for us, so it can take several rounds, but not for ever.
        for _ in 0..<64 {
            try askDisk(evictedFor: nil)
            let evictsForDisk = !hasEvictedForDisk
            let decision = ledger.withLock {
                $0.reserve(length, for: shardClass, evictsForDisk: evictsForDisk)
            }
            evict(decision.victims)
            if decision.isForDisk {
                hasEvictedForDisk = true
                do throws(PetalsError) {
                    try askDisk(evictedFor: decision.outcome == .granted ? 0 : length)
                } catch {
                    // Who was granted room keeps it; the next one asks and is told.
                    if decision.outcome != .granted { throw error }
                }
            }
            switch decision.outcome {
            case .granted: return
            case .refused(let lack): throw noRoomError(lack, length)
            case .askAgain:
                // All that could go is going already, for others: half a millisecond is what the
                // disk takes for a few cells.
                if decision.victims.isEmpty { usleep(500) }
            }
        }
        throw noRoomError(.limit, length)
    }

    /// Asks how much of the disk is free, where what is known is too old.
    ///
    /// - Parameter length: for how much more something was evicted, so that it is asked in any
    ///   case; nil where nothing was.
    private func askDisk(evictedFor length: Int?) throws(PetalsError) {
        let now = probe.now()
        let question = ledger.withLock { ledger -> FreeSpace.Question? in
            guard length != nil || ledger.free.needsQuestion(now: now) else { return nil }
            return ledger.free.question(pending: ledger.pending)
        }
        guard let question else { return }
        let free = try probe.readSpace(folder.path).free
        ledger.withLock { ledger in
            ledger.free.take(free, to: question, now: now, isOrdinary: length == nil)
            if let length, ledger.free.missing(for: length) > 0 { ledger.free.rest() }
        }
    }

    /// How much of the disk is free at this moment.
    func readSpace() throws(PetalsError) -> DiskSpace { try probe.readSpace(folder.path) }

    private func noRoomError(_ lack: SpaceLedger.Decision.Lack, _ length: Int) -> PetalsError {
        let (limit, floor, held) = ledger.withLock {
            ($0.limit ?? 0, $0.free.floor, $0.heldLimit ?? 0)
        }
        switch lack {
        case .limit:
            return PetalsError(
                .noSpace,
                "the cache of \(folder.path) may have \(ByteCount(limit)), and another "
                    + "\(ByteCount(length)) do not fit; raise --cache-size")
        case .donation:
            return PetalsError(
                .noSpace,
                "the \(ByteCount(held)) of \(folder.path) that --donate gives are used, and "
                    + "another \(ByteCount(length)) do not fit; raise it, or hold fewer --shards")
        case .disk:
            return PetalsError(
                .noSpace,
                "the disk of \(folder.path) has no more than the \(ByteCount(floor)) that the "
                    + "cache leaves free; free some space there or lower --cache-free")
        }
    }

    /// Evicts cached cells until `bytes` more fit the limit, or none are left.
    func makeRoom(_ bytes: Int) {
        evict(
            ledger.withLock { ledger in
                let lacking = ledger.missing(for: bytes)
                return lacking == 0 ? [] : ledger.takeVictims(lacking)
            })
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
