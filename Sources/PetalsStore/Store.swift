package import Logging
internal import PetalsCodec
package import PetalsCore
internal import Synchronization

/// All that a node keeps: the blobs on its disk and the registry that says why.
package final class Store: Sendable {
    /// Models, blobs, classes and sources.
    package let registry: Registry
    let context: StoreContext
    private let live = Mutex(Live())
    /// Held while a blob is opened or removed, so that there is one instance of each.
    let opening = Stripe()

    private struct Live: Sendable {
        var blobs: [BlobID: StoredBlob] = [:]
        var numbers: Int32 = 0
    }

    /// Opens the store of a state folder, with all blobs of which the descriptor is known.
    ///
    /// Reads the map of every shard that has one (a few milliseconds for 200 MB of cells), so that
    /// the accounts are exact from the start.
    ///
    /// - Parameters:
    ///   - limit: the most bytes of cached cells; nil for as much as the disk has. What an earlier
    ///     run cached beyond it is let go.
    ///   - floor: bytes of the disk that caching leaves free, 0 for none; nil for 1 GiB or 5 % of
    ///     the disk, whichever is less.
    /// - Throws: what `Registry` throws, and `.system` where the disk cannot be asked for its size;
    ///   a blob that cannot be opened is logged and left out.
    package convenience init(
        folder: StateFolder, logger: Logger, limit: Int?, floor: Int? = 0
    ) throws(PetalsError) {
        try self.init(
            folder: folder, logger: logger, limit: limit, floor: floor, filesMax: 256,
            probe: .system)
    }

    /// Opens the store with room for another number of open files, on a disk that may tell what a
    /// test wants.
    init(
        folder: StateFolder, logger: Logger, limit: Int?, floor: Int?, filesMax: Int,
        probe: DiskProbe
    ) throws(PetalsError) {
        registry = try Registry(folder: folder, logger: logger)
        context = try StoreContext(
            folder: folder, logger: logger, limit: limit, floor: floor, filesMax: filesMax,
            probe: probe)
        try countDrafts()
        let sources = try registry.sources()
        for row in try registry.blobs() {
            guard let descriptor = row.descriptor else { continue }
            do throws(PetalsError) {
                let blob = try openBlob(row, descriptor: descriptor)
                if let source = sources.first(where: { $0.blobID == row.blobID && !$0.isStale }) {
                    try blob.attach(source)
                    try? blob.checkSource()  // A stale one has logged itself and is let go.
                }
                blob.openAll()
            } catch {
                logger.error("blob \(row.blobID.short) cannot be opened: \(error)")
            }
        }
    }

    /// The blob of an id; opened, and entered in the registry, where it is new.
    ///
    /// - Parameter descriptor: the sealed descriptor, as published or as a peer sent it.
    /// - Throws: `.corrupt` when the descriptor is not the one that the id names, or does not open
    ///   with the relay key; `.noSpace` or `.system` from the disk.
    package func blob(
        id: BlobID, relayKey: SecretKey, descriptor: [UInt8]
    ) throws(PetalsError) -> StoredBlob {
        if let blob = blob(id) { return blob }
        // Before anything is written for it.
        _ = try SealedDescriptor.open(descriptor, relayKey: relayKey, expecting: id)
        return try opening.hold { () throws(PetalsError) in
            if let blob = blob(id) { return blob }
            let row = BlobRow(blobID: id, relayKey: relayKey, descriptor: descriptor)
            try registry.insert(row)
            let blob = try openBlob(row, descriptor: descriptor)
            if let source = try registry.source(of: id), !source.isStale {
                try blob.attach(source)
                try? blob.checkSource()  // A stale one has logged itself and is let go.
            }
            return blob
        }
    }

    /// The blob of an id, if its descriptor is known.
    package func blob(_ id: BlobID) -> StoredBlob? {
        live.withLock { $0.blobs[id] }
    }

    /// All blobs of which the descriptor is known, by id.
    package func allBlobs() -> [StoredBlob] {
        live.withLock { Array($0.blobs.values) }.sorted { $0.id < $1.id }
    }

    /// Says why shards of a blob are kept.
    ///
    /// - Throws: `.notFound` when there is no such blob, `.system` from the registry.
    package func setClass(
        _ shardClass: ShardClass, of shards: [ShardIndex], blob id: BlobID
    ) throws(PetalsError) {
        guard let blob = blob(id) else {
            throw PetalsError(
                .notFound, "there is no blob \(id.short) in the store; fetch its model first")
        }
        let shards = shards.filter { blob.geometry.contains($0) }
        try registry.setClass(shardClass, of: shards, blob: id)
        blob.applyClass(shardClass, of: shards)
    }

    /// Pins a model; its shards are pinned as they are named to `setClass`.
    ///
    /// - Throws: `.notFound` when there is no such model, `.system` from the registry.
    package func pin(model name: String) throws(PetalsError) {
        try registry.setPinned(true, model: name)
    }

    /// Unpins a model: its pinned shards that no other pinned model needs are cached again.
    ///
    /// - Throws: as `pin`.
    package func unpin(model name: String) throws(PetalsError) {
        try registry.setPinned(false, model: name)
        try releasePins()
    }

    /// Makes shards cached that are pinned, and that no pinned model needs.
    package func releasePins() throws(PetalsError) {
        for (id, shards) in try registry.releasePins() {
            blob(id)?.applyClass(.cached, of: shards)
        }
    }

    /// Evicts the cached cells of blobs now; what is published, held or pinned stays.
    ///
    /// Files that are open stay so, and what is read of them is fetched again.
    ///
    /// - Parameter progress: called after each cell with its length.
    /// - Returns: how many cells went, and their bytes.
    package func evictCached(
        of ids: [BlobID], progress: (Int) -> Void = { _ in }
    ) -> (cells: Int, bytes: Int) {
        var gone = (cells: 0, bytes: 0)
        for id in ids {
            guard let blob = blob(id) else { continue }
            let found = blob.evictAllCached(progress: progress)
            gone.cells += found.cells
            gone.bytes += found.bytes
        }
        return gone
    }

    /// Removes blobs with all their files and rows; those that hold one of them find it empty.
    package func remove(blobs ids: [BlobID]) throws(PetalsError) {
        try opening.hold { () throws(PetalsError) in
            try registry.removeBlobs(ids)
            for id in ids {
                let blob = live.withLock { $0.blobs.removeValue(forKey: id) }
                if let blob {
                    context.unregister(blob.number)
                    try blob.remove()
                } else {
                    try Disk.removeFolder(context.folder.blobsFolder + "/" + id.hex)
                }
            }
        }
    }

    /// Opens a blob and makes it known; the caller holds `opening`, or is alone.
    ///
    /// - Parameter source: where its data shards come from, when that is known already.
    func openBlob(
        _ row: BlobRow, descriptor: [UInt8], source: SourceRow? = nil
    ) throws(PetalsError) -> StoredBlob {
        try Disk.makeFolder(context.folder.blobsFolder + "/" + row.blobID.hex)
        let number = takeNumber()
        let registry = registry
        let logger = context.logger
        let blob = try StoredBlob(
            row: row, sealedDescriptor: descriptor, number: number, context: context,
            classes: try registry.classes(of: row.blobID),
            onStale: { source, state in
                do throws(PetalsError) {
                    try registry.markStale(source, as: state)
                } catch {
                    // It is found stale again at the next start.
                    logger.warning("\(error)")
                }
            })
        if let source { try blob.begin(with: source) }
        context.register(blob)
        live.withLock { $0.blobs[row.blobID] = blob }
        return blob
    }

    /// A number that no blob or draft has had while this store runs.
    func takeNumber() -> Int32 {
        live.withLock { live in
            live.numbers += 1
            return live.numbers
        }
    }
}

extension StoredBlob {
    /// Reads the maps of all shards that have one.
    func openAll() {
        for shard in state.withLock({ $0.known }).sorted() { open(shard) }
    }
}
