package import PetalsCore
internal import Synchronization

/// The published file that stands for the data shards.
extension StoredBlob {
    /// Lets the data shards be made from a published file from now on.
    ///
    /// What of them was stored is deleted; the hashes stay, as they are the same.
    ///
    /// - Throws: `.corrupt` where the record does not fit the blob, `.system` from the disk.
    package func attach(_ row: SourceRow) throws(PetalsError) {
        let source = try InPlaceSource(row, descriptor: descriptor)
        let dataShards = geometry.streamShards
        for shard in dataShards { open(shard) }
        try opening.hold { () throws(PetalsError) in
            try holdingAllStripes { () throws(PetalsError) in
                context.files.forget { [number] in $0.blob == number && $0.kind == .source }
                let wasInPlace = state.withLock { state in
                    let wasInPlace = state.source != nil
                    if !wasInPlace { for shard in dataShards { vacate(shard, state) } }
                    state.source = source
                    return wasInPlace
                }
                guard !wasInPlace else { return }
                for shard in dataShards { try Disk.removeFile(path(shard, .data)) }
                context.files.forget { [geometry, number] in
                    $0.blob == number && $0.kind == .data
                        && geometry.isData(ShardIndex(Int($0.shard)))
                }
            }
        }
    }

    /// The same for a blob of which nobody knows yet and no shard was opened.
    func begin(with row: SourceRow) throws(PetalsError) {
        let source = try InPlaceSource(row, descriptor: descriptor)
        state.withLock { $0.source = source }
    }

    /// The published file, while it is what it was when it was published.
    package var sourcePath: String? { state.withLock { $0.source?.row.path } }

    /// Leaves of a data cell from the published file; nil where it has changed: then the file is
    /// let go and its cells are absent.
    func readSource(
        _ source: InPlaceSource, _ address: CellAddress, leaves: Range<Int>
    ) throws(PetalsError) -> [UInt8]? {
        do throws(PetalsError) {
            guard let file = try sourceFile(source) else { throw source.error(.missing) }
            return try source.readSealed(address, leaves: leaves, from: file)
        } catch {
            guard error.code == .unavailable else { throw error }
            letGo(of: source)
            return nil
        }
    }

    /// Lets go of a published file of which something was read that was not published.
    ///
    /// Its stamp may tell why; where it does not, the content alone is another.
    func letGo(of source: InPlaceSource) {
        // A file that cannot even be looked at has changed as far as anybody can tell.
        let found = (try? source.readState()) ?? .changed
        detach(source, as: found == .current ? .damaged : found)
    }

    /// Looks whether the published file is still what it was; lets go of it where it is not.
    ///
    /// - Throws: `.unavailable` when it has changed, `.system` when it cannot be examined.
    package func checkSource() throws(PetalsError) {
        guard let source = state.withLock({ $0.source }) else { return }
        let found = try source.readState()
        guard found != .current else { return }
        detach(source, as: found)
        throw source.error(found)
    }

    func sourceFile(_ source: InPlaceSource) throws(PetalsError) -> DiskFile? {
        let key = FileTable.Key(blob: number, shard: 0, kind: .source)
        return try context.files.file(key) { () throws(PetalsError) in
            try DiskFile.open(
                source.row.path, .reading, followLinks: true, faults: context.folder.faults)
        }
    }

    /// Lets go of a published file that has changed: its cells are absent, on the disk too.
    private func detach(_ source: InPlaceSource, as found: SourceState) {
        let dataShards = geometry.streamShards
        var isFirst = false
        do throws(PetalsError) {
            isFirst = try opening.hold { () throws(PetalsError) in
                try holdingAllStripes { () throws(PetalsError) in
                    let isFirst = state.withLock { state -> Bool in
                        guard state.source === source else { return false }
                        state.source = nil
                        for shard in dataShards { forgetCells(shard, &state) }
                        return true
                    }
                    guard isFirst else { return false }
                    context.files.forget { [number] in $0.blob == number && $0.kind == .source }
                    for shard in dataShards {
                        try file(shard, .tree)?.punch(0..<layerRange(shard).lowerBound)
                    }
                    return true
                }
            }
        } catch {
            // What the disk still claims does not match anything, and is found when it is read.
            isFirst = true
            warn("cannot clear the trees of blob \(id.short): \(error)")
        }
        guard isFirst else { return }
        warn(source.error(found).message)
        noteChange()
        onStale(source.row, found)
    }

    /// Takes the cells of a shard out of the accounts, as they are stored no more.
    private func vacate(_ shard: ShardIndex, _ state: borrowing State) {
        guard let map = state.maps[shard] else { return }
        let shardClass = self.shardClass(of: shard, state)
        context.ledger.withLock { ledger in
            for (cell, mask) in map.masks.enumerated() where !mask.isEmpty {
                let address = CellAddress(shard: shard, cell: CellIndex(cell))
                ledger.vacate(geometry.cellLength(address), key(address), from: shardClass)
            }
        }
    }

    private func forgetCells(_ shard: ShardIndex, _ state: inout State) {
        guard let map = state.maps[shard] else { return }
        var empty = ShardMap(cellCount: map.masks.count)
        empty.layer = map.layer
        empty.forgotten = map.forgotten + 1
        state.maps[shard] = empty
    }
}
