internal import Dispatch
internal import PetalsCodec
package import PetalsCore
internal import Synchronization

/// What an earlier attempt has left.
extension BlobDraft {
    /// Looks which rows are sealed already; the others are `missingRows`.
    ///
    /// Reads parity and trees again and hashes them, on all cores.
    ///
    /// - Parameter found: called for each sealed row, from several threads.
    /// - Throws: `.system` from the disk.
    package func findSealedRows(
        found: @escaping @Sendable (RowIndex) -> Void
    ) throws(PetalsError) {
        let digests = try readRowDigests()
        let rows = digests.indices.filter { digests[$0] != .zero }.map { RowIndex($0) }
        let failure = Mutex<PetalsError?>(nil)
        DispatchQueue.concurrentPerform(iterations: rows.count) { index in
            let row = rows[index]
            do throws(PetalsError) {
                if let hashes = try readSealed(row, expecting: digests[row.rawValue]) {
                    enter(row, hashes)
                    found(row)
                } else {
                    try clear(row)
                }
            } catch {
                failure.withLock { $0 = $0 ?? error }
            }
        }
        if let failure = failure.withLock({ $0 }) { throw failure }
    }

    /// The cell hashes of a row; nil where something of it is not what it was when it was sealed.
    private func readSealed(
        _ row: RowIndex, expecting digest: Digest
    ) throws(PetalsError) -> [Digest]? {
        let addresses = (0..<geometry.groupShards).map { geometry.address(row: row, column: $0) }
        var leafHashes: [[Digest]] = []
        for address in addresses { leafHashes.append(try readLeafHashes(address)) }
        let cellHashes = leafHashes.map { HashTree.root(ofLeafHashes: $0) }
        guard rowDigest(row, cellHashes) == digest else { return nil }
        guard journal.keepsParity else { return cellHashes }
        for column in geometry.dataShards..<geometry.groupShards {
            let address = addresses[column]
            let range = dataRange(address)
            guard let data = try file(address.shard, .data),
                VerifiedLeaves.checked(
                    address: address, leaves: leafHashes[column].indices,
                    bytes: try data.read(count: range.count, at: range.lowerBound),
                    leafHashes: leafHashes[column]) != nil
            else { return nil }
        }
        return cellHashes
    }

    /// Bytes of the parity of all rows that say that they are sealed.
    func countSealed() throws(PetalsError) -> Int {
        let digests = try readRowDigests()
        return digests.indices.filter { digests[$0] != .zero }
            .reduce(0) { $0 + parityBytes(RowIndex($1)) }
    }

    /// Gives back what a crash left of rows that are not sealed.
    func freeStrayRows() throws(PetalsError) {
        let digests = try readRowDigests()
        for index in 0..<geometry.shardCount where !geometry.isData(ShardIndex(index)) {
            let shard = ShardIndex(index)
            guard let data = try file(shard, .data) else { continue }
            let cells = geometry.rows(ofGroup: geometry.group(of: shard)).map { row in
                (isSealed: digests[row] != .zero, length: geometry.cellLength(row: RowIndex(row)))
            }
            let known = cells.filter(\.isSealed).reduce(0) { $0 + $1.length }
            guard try data.readAllocated() > known else { continue }
            for (cell, fact) in cells.enumerated() where !fact.isSealed {
                try data.punch(
                    dataRange(CellAddress(shard: shard, cell: CellIndex(cell))))
            }
        }
    }

    /// Waits until all files are on the disk, several at a time: their journal entries share a
    /// write.
    func saveFiles() throws(PetalsError) {
        let shards = geometry.shards
        let failure = Mutex<PetalsError?>(nil)
        DispatchQueue.concurrentPerform(iterations: shards.count) { index in
            do throws(PetalsError) {
                for kind in [FileTable.Kind.data, .tree] { try file(shards[index], kind)?.sync() }
            } catch {
                failure.withLock { $0 = $0 ?? error }
            }
        }
        if let failure = failure.withLock({ $0 }) { throw failure }
        try Disk.syncFolder(folder)
    }
}
