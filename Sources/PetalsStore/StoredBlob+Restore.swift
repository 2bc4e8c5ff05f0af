internal import Logging
internal import PetalsCodec
package import PetalsCore
internal import Synchronization

/// A published file that is the same again, or the same elsewhere.
///
/// What is known of its cells went when it was let go, and the cell hashes stayed. So they are read
/// again and compared with those, which costs no space and no parity.
extension StoredBlob {
    /// Whether a file has the content of this blob, by reading all of it.
    ///
    /// - Returns: false also where not all cell hashes are here.
    /// - Throws: `.corrupt` where the record does not fit the blob, `.system` from the disk.
    func readsSame(_ row: SourceRow) throws(PetalsError) -> Bool {
        guard row.stamp.size == row.record.size else { return false }
        let source = try InPlaceSource(row, descriptor: descriptor)
        guard let file = try DiskFile.open(row.path, .reading, followLinks: true) else {
            return false
        }
        for address in dataCells {
            guard try verified(address, of: source, file) != nil else { return false }
        }
        return true
    }

    /// Serves the data shards from a published file, of which the caller knows that it has the
    /// content of this blob, and learns what is not known of its cells.
    ///
    /// - Returns: false where not all cell hashes are here, or the file is another after all; then
    ///   it is let go, with a line in the log.
    /// - Throws: as `attach`.
    func restore(_ row: SourceRow) throws(PetalsError) -> Bool {
        guard geometry.streamShards.allSatisfy({ layer(of: $0) != nil }) else { return false }
        let known = state.withLock { $0.source?.row }
        if known?.path != row.path || known?.stamp != row.stamp { try attach(row) }
        guard let source = state.withLock({ $0.source }) else { return false }
        for address in dataCells where !holdings(of: address.shard).contains(address.cell) {
            guard let file = try sourceFile(source),
                let leaves = try verified(address, of: source, file)
            else {
                letGo(of: source)
                return false
            }
            try write(leaves)
        }
        return true
    }

    /// All cells of the data shards, row by row: neighbours share frames.
    private var dataCells: some Sequence<CellAddress> {
        (0..<geometry.rowCount).lazy.flatMap { [geometry] row in
            (0..<geometry.dataShards).map {
                geometry.address(row: RowIndex(row), column: $0)
            }
        }
    }

    /// A cell as the file gives it; nil where that is not the blob's.
    private func verified(
        _ address: CellAddress, of source: InPlaceSource, _ file: DiskFile
    ) throws(PetalsError) -> VerifiedLeaves? {
        let leafCount = geometry.leafCount(address)
        let bytes: [UInt8]
        do throws(PetalsError) {
            bytes = try source.readSealed(address, leaves: 0..<leafCount, from: file)
        } catch {
            if error.code == .unavailable { return nil }
            throw error
        }
        return layer(of: address.shard)?.verify(
            address: address, leaves: 0..<leafCount, bytes: bytes, proof: [],
            leafCount: leafCount)
    }

    // MARK: Parity

    /// Whether any parity is here; where there is none it is left to others to make.
    package var hasParity: Bool {
        geometry.shards.contains { !geometry.isData($0) && !holdings(of: $0).isEmpty }
    }

    /// Deletes the parity that was stored when the file was published; its trees stay.
    package func dropParity() {
        for shard in geometry.shards where !geometry.isData(shard) {
            guard shardClass(of: shard) == .seeded else { continue }
            for cell in 0..<geometry.cellCount(of: shard) {
                evict(CellAddress(shard: shard, cell: CellIndex(cell)))
            }
        }
    }
}

extension Store {
    /// Has a blob served from a file of its content, as `StoredBlob.restore` says.
    package func restore(_ blob: StoredBlob, from row: SourceRow) throws(PetalsError) -> Bool {
        // First of all: hashes in the trees without a source would claim cells that are nowhere.
        try registry.put(row)
        return try blob.restore(row)
    }

    /// Serves published files again that were let go and are what they were, whatever their times
    /// say now.
    ///
    /// Reads them, as far as their size is the same.
    func restoreSources(of ids: [BlobID]?) throws(PetalsError) {
        for stale in try registry.staleSources() where ids?.contains(stale.blobID) ?? true {
            guard let blob = blob(stale.blobID), let row = try registry.source(of: stale.blobID),
                // A file that is missing still, or cannot be read, stays as it is.
                let stamp = try? FileStamp(readingFileAt: row.path)
            else { continue }
            let fresh = SourceRow(
                blobID: row.blobID, path: row.path, stamp: stamp, record: row.record)
            guard try blob.readsSame(fresh) else { continue }
            guard try restore(blob, from: fresh) else { continue }
            context.logger.notice("the published file \(row.path) is served again")
        }
    }

    /// Looks whether published files are what they were, by their stamps; lets go of those that
    /// are not, with a line in the log.
    package func checkSources() {
        for blob in allBlobs() {
            // What has changed has said so itself.
            try? blob.checkSource()
        }
    }
}
