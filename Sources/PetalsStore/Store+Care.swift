internal import Logging
package import PetalsCore
internal import Synchronization

/// What a verification found.
package struct VerifyReport: Hashable, Sendable {
    /// A cell that did not match its hashes.
    ///
    /// It is forgotten now, and will be fetched again.
    package struct Damage: Hashable, Sendable {
        /// The blob of the cell.
        package let blobID: BlobID
        /// Which cell of the blob.
        package let address: CellAddress
    }

    /// Cells that were read.
    package var cells = 0
    /// Bytes that were read.
    package var bytes = 0
    /// What was found and forgotten.
    package var damaged: [Damage] = []
    /// Published files that have changed since they were published.
    package var staleSources: [String] = []

    /// Whether all is as it should be.
    package var isClean: Bool { damaged.isEmpty && staleSources.isEmpty }

    /// Makes the report of nothing.
    package init() {}
}

/// How the disk is used.
package struct StoreUsage: Hashable, Sendable {
    /// Bytes of cells, by class.
    package let bytes: [ShardClass: Int]
    /// The most bytes of cached cells, if there is a limit.
    package let limit: Int?
    /// Bytes of the disk that caching leaves free.
    package let floor: Int

    /// Bytes of all cells.
    package var total: Int { bytes.values.reduce(0, +) }
    /// Bytes of the cells that may be evicted.
    package var cached: Int { bytes[.cached] ?? 0 }
}

extension Store {
    /// How the disk is used; answers from memory.
    package func usage() -> StoreUsage {
        context.ledger.withLock { ledger in
            var bytes: [ShardClass: Int] = [:]
            for shardClass in ShardClass.allCases { bytes[shardClass] = ledger.used(shardClass) }
            return StoreUsage(bytes: bytes, limit: ledger.limit, floor: ledger.free.floor)
        }
    }

    /// How much of the disk under the store is free at this moment; one system call.
    ///
    /// - Throws: `.system` when the state folder cannot be examined.
    package func readDiskSpace() throws(PetalsError) -> DiskSpace { try context.readSpace() }

    /// Deletes the files of all cached shards, as unmounting does.
    package func clearCached() throws(PetalsError) {
        for blob in allBlobs() { try blob.dropCached() }
    }

    /// Deletes what no row refers to: files that were being written, folders of blobs, manifests,
    /// and blobs that no model uses and nobody holds.
    ///
    /// Shards that stayed pinned although no model of theirs is, as after a crash, are cached
    /// again. Publications that can go on where they were interrupted stay for a week.
    ///
    /// For the start of a node, before anybody works with the store.
    package func collectGarbage() throws(PetalsError) {
        let folder = context.folder
        let live = Set(allBlobs().map(\.id))
        try releasePins()
        try remove(blobs: try registry.removeRetired())
        try registry.removeOrphans(sparing: try collectDrafts())
        let blobs = Set(try registry.blobs().map(\.blobID))
        try remove(blobs: live.subtracting(blobs).sorted())
        for name in try Disk.names(in: folder.blobsFolder) {
            guard let id = Digest(hex: name), id.hex == name, blobs.contains(id) else {
                context.logger.info("removes the blob folder \(name), which belongs to no model")
                try Disk.removeFolder(folder.blobsFolder + "/" + name)
                continue
            }
        }
        let manifests = Set(try registry.models().map(\.manifestID))
        for name in try Disk.names(in: folder.manifestsFolder) {
            if let id = Digest(hex: name), id.hex == name, manifests.contains(id) { continue }
            try Disk.removeFile(folder.manifestsFolder + "/" + name)
        }
        for name in try Disk.names(in: folder.path) where name.contains(Disk.temporaryMark) {
            try Disk.removeFile(folder.path + "/" + name)
        }
    }

    /// Reads every complete cell again, those of published files included.
    ///
    /// What does not match is forgotten, so that it is fetched again; a second run finds nothing.
    /// Published files that were let go and are what they were are served again.
    ///
    /// - Parameters:
    ///   - ids: the blobs to check; all of them unless given.
    ///   - progress: called after each cell with what was found so far.
    package func verify(
        blobs ids: [BlobID]? = nil, progress: (VerifyReport) -> Void = { _ in }
    ) throws(PetalsError) -> VerifyReport {
        var report = VerifyReport()
        try restoreSources(of: ids)
        for blob in allBlobs() where ids?.contains(blob.id) ?? true {
            let path = blob.sourcePath
            do throws(PetalsError) {
                try blob.checkSource()
            } catch {
                guard error.code == .unavailable else { throw error }
                report.staleSources.append(path ?? "")
            }
            for shard in blob.heldShards() {
                let holdings = blob.holdings(of: shard)
                for cell in 0..<holdings.cellCount where holdings.contains(CellIndex(cell)) {
                    let address = CellAddress(shard: shard, cell: CellIndex(cell))
                    try Self.verify(address, of: blob, &report)
                    progress(report)
                }
            }
        }
        // Some changes were noticed before, when the file was opened or a peer asked for a cell.
        let known = Set(report.staleSources)
        report.staleSources += try registry.staleSources()
            .filter { !known.contains($0.path) && ids?.contains($0.blobID) ?? true }
            .map(\.path)
        return report
    }

    private static func verify(
        _ address: CellAddress, of blob: StoredBlob, _ report: inout VerifyReport
    ) throws(PetalsError) {
        report.cells += 1
        report.bytes += blob.geometry.cellLength(address)
        if try blob.findDamage(address) {
            report.damaged.append(VerifyReport.Damage(blobID: blob.id, address: address))
        }
    }
}
