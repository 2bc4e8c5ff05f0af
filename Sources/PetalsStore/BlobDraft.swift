package import PetalsCodec
package import PetalsCore
internal import Synchronization

/// A blob that is being published: it has a journal and no id yet, and nobody but its publisher
/// knows of it.
///
///     publishing/<name>.journal      what the first pass found out (`DraftJournal`)
///     publishing/<name>.rows         a digest for each row that is sealed; zero for the others
///     publishing/<name>/             parity and trees, laid out as in the blob's folder to be;
///                                    no parity where that is left to others
///
/// Rows come in any order and from several threads, and are written once: when the last has come
/// and the id is known, the folder is moved to its place among the blobs.
///
/// A row is sealed when its digest is there and is that of the relay key, the row's number and its
/// cell hashes, to which the leaf hashes in the trees fold, to which the parity on the disk hashes.
/// So an interrupted publication trusts no order of writes: what does not fit is sealed again.
///
/// Thread-safe.
package final class BlobDraft: ShardFolder {
    package let journal: DraftJournal
    package let geometry: BlobGeometry
    let claim: DraftClaim
    let number: Int32
    private let relayKey: SecretKey
    private let rows: DiskFile
    private let state: Mutex<State>

    private struct State: Sendable {
        var tree: TreeBuilder
        var isSealed: [Bool]
    }

    /// Opens the files of a draft that was begun; `Store.openDraft` is who calls it.
    init(_ claim: DraftClaim, journal: DraftJournal, number: Int32) throws(PetalsError) {
        self.claim = claim
        self.journal = journal
        self.number = number
        geometry = journal.geometry
        relayKey = journal.relayKey
        try Disk.makeFolder(claim.folder)
        rows = try DiskFile.create(claim.rowsFile, faults: claim.context.folder.faults)
        state = Mutex(
            State(
                tree: TreeBuilder(geometry: journal.geometry),
                isSealed: Array(repeating: false, count: journal.geometry.rowCount)))
    }

    deinit {
        context.files.forget { [number] in $0.blob == number }
    }

    var folder: String { claim.folder }
    var context: StoreContext { claim.context }

    /// The rows that still have to be sealed.
    package var missingRows: [RowIndex] {
        state.withLock { state in
            state.isSealed.indices.filter { !state.isSealed[$0] }.map { RowIndex($0) }
        }
    }

    // MARK: Writing

    /// Keeps a sealed row: its parity, the hashes of its leaves, and then its digest.
    ///
    /// A full disk is treated as in `StoredBlob.write`: some cached cells go, and it is tried once
    /// more.
    ///
    /// - Throws: `.noSpace` where there is no room, `.system` from the disk.
    package func write(_ sealed: RowSealer) throws(PetalsError) {
        do throws(PetalsError) {
            try writeReserving(sealed)
        } catch {
            guard error.code == .noSpace, context.evictForDisk(4 * parityBytes(sealed.row)) else {
                throw error
            }
            try writeReserving(sealed)
        }
    }

    private func writeReserving(_ sealed: RowSealer) throws(PetalsError) {
        let bytes = parityBytes(sealed.row)
        try context.reserve(bytes, for: .seeded)
        do throws(PetalsError) {
            try writeFiles(sealed)
        } catch {
            context.ledger.withLock { $0.cancel(bytes, for: .seeded) }
            throw error
        }
        claim.commit(bytes, as: Self.anyCell)
        enter(sealed.row, sealed.cellHashes)
    }

    private func writeFiles(_ sealed: RowSealer) throws(PetalsError) {
        for column in 0..<geometry.groupShards {
            let address = geometry.address(row: sealed.row, column: column)
            if column >= geometry.dataShards, journal.keepsParity {
                let range = dataRange(address)
                let data = try createFile(address.shard, .data)
                // SAFETY: the sealer lends the cell until the closure returns.
                try unsafe sealed.withCell(column) { (cell) throws(PetalsError) in
                    try unsafe data.write(cell, at: range.lowerBound)
                }
                data.startSaving(range)
            }
            try createFile(address.shard, .tree).write(
                Digest.packed(Array(sealed.leafHashes(ofColumn: column))),
                at: leafHashOffset(address, leaf: 0))
        }
        try rows.write(
            rowDigest(sealed.row, sealed.cellHashes).bytes,
            at: sealed.row.rawValue * Digest.byteCount)
    }

    func enter(_ row: RowIndex, _ cellHashes: [Digest]) {
        state.withLock { state in
            state.tree.add(row, cellHashes: cellHashes)
            state.isSealed[row.rawValue] = true
        }
    }

    // MARK: The end

    /// Completes the trees, waits until all is on the disk, and learns the blob's id.
    ///
    /// - Returns: the blob's row, and the file's record with the id.
    /// - Throws: `.noSpace` or `.system` from the disk.
    /// - Precondition: there are no `missingRows`.
    package func finish() throws(PetalsError) -> (blob: BlobRow, record: FileRecord) {
        let layers = state.withLock { $0.tree.layers() }
        for layer in layers {
            try createFile(layer.shard, .tree).write(
                Digest.packed(layer.cellHashes), at: layerRange(layer.shard).lowerBound)
        }
        try saveFiles()
        let (descriptor, id) = SealedDescriptor.seal(
            BlobDescriptor(geometry: geometry, shardRoots: layers.map(\.root)),
            relayKey: relayKey)
        let completed = journal.completed(id)
        try claim.write(completed)
        if !journal.keepsParity { try forgetParityLeaves() }
        context.files.forget { [number] in $0.blob == number }
        return (
            BlobRow(blobID: id, relayKey: relayKey, descriptor: descriptor), completed.record
        )
    }

    /// Forgets the leaf hashes of parity that was not kept.
    ///
    /// In a blob's tree they would say that it is there. The cell hashes stay, by which those who
    /// make the parity are checked.
    ///
    /// A draft that is interrupted here seals its rows again.
    private func forgetParityLeaves() throws(PetalsError) {
        for shard in geometry.shards where !geometry.isData(shard) {
            let tree = try createFile(shard, .tree)
            try tree.punch(0..<layerRange(shard).lowerBound)
            try tree.sync()
        }
    }

    /// The files became a blob's: takes them out of the accounts, in which the blob is now.
    func leave() throws(PetalsError) {
        context.files.forget { [number] in $0.blob == number }
        try Disk.removeFile(claim.rowsFile)
        claim.freeAll()
    }

    // MARK: Helpers

    /// What stands for the draft's cells in the ledger, which asks for a key of cached cells only.
    static let anyCell = SpaceLedger.CellKey(
        blob: 0, address: CellAddress(shard: ShardIndex(0), cell: CellIndex(0)))

    func parityBytes(_ row: RowIndex) -> Int {
        journal.keepsParity ? geometry.parityShards * geometry.cellLength(row: row) : 0
    }

    /// What stands for a sealed row on the disk.
    func rowDigest(_ row: RowIndex, _ cellHashes: [Digest]) -> Digest {
        sha256(
            relayKey.bytes + String(row.rawValue).utf8 + Digest.packed(cellHashes))
    }

    /// The digests of all rows as they are on the disk; zero where there is none.
    func readRowDigests() throws(PetalsError) -> [Digest] {
        let count = geometry.rowCount
        return digests(try rows.read(count: count * Digest.byteCount, at: 0), count: count)
    }

    /// Takes the digest of a row back: it has to be sealed again.
    func clear(_ row: RowIndex) throws(PetalsError) {
        try rows.write(Digest.zero.bytes, at: row.rawValue * Digest.byteCount)
        claim.free(parityBytes(row))
    }
}
