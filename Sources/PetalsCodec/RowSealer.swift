package import PetalsCore

/// Seals rows one after the other, in memory of its own that it uses again.
///
/// The cells of a row lie side by side, so the stored stream is read straight to where it is
/// sealed, and the parity is written straight from where it is computed. A row goes through its
/// stages leaf by leaf across all columns: encrypt, add parity, hash. With 16 + 8 columns those are
/// 384 KiB, which a core's cache holds; the row has 6 MiB, which it does not.
///
/// One thread at a time uses a sealer. What it shows of a row was sealed and hashed by itself, so
/// those who take it from there have nothing to ask: it is to a row what `VerifiedLeaves` is to
/// leaves.
@safe package final class RowSealer {
    package let geometry: BlobGeometry
    /// The row that was sealed last.
    package private(set) var row = RowIndex(0)
    /// The hashes of its leaves, column after column.
    package private(set) var leafHashes: [Digest] = []
    /// The hash of each of its cells, by column.
    package private(set) var cellHashes: [Digest] = []

    private let pipeline: BlockPipeline
    private let code: ErasureCode
    /// Leaves of each column that go through the stages together.
    private let leavesAtOnce: Int
    /// n cells.
    ///
    /// They are this object's own from `init` to `deinit`, and are lent to closures only: hence
    /// `@safe`.
    private let memory: UnsafeMutableRawBufferPointer

    /// Makes a sealer for a blob, and takes the memory of one row: 6 MiB for 16 + 8 columns.
    package init(_ pipeline: BlockPipeline) {
        self.pipeline = pipeline
        geometry = pipeline.geometry
        code = ErasureCode.shared(for: geometry)
        leavesAtOnce = TreeHasher.leavesAtOnce(columns: geometry.groupShards)
        // SAFETY: freed in `deinit`.
        unsafe memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: geometry.groupShards * Limits.cellBytes, alignment: 4096)
    }

    deinit {
        // SAFETY: allocated in `init`; nobody else has it.
        unsafe memory.deallocate()
    }

    /// Bytes of each cell of the row that was sealed last.
    package var cellLength: Int { geometry.cellLength(row: row) }

    /// Seals a row: encrypts its data cells, adds the parity over them, and hashes all leaves.
    ///
    /// - Parameter fill: writes the stored stream's bytes `pipeline.streamRange(of: row)`, not yet
    ///   encrypted, to a buffer of just that length.
    /// - Throws: what `fill` throws; then the sealer shows no row until it has sealed the next one.
    /// - Precondition: the blob has the row.
    package func seal<Failure: Error>(
        _ row: RowIndex, fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        leafHashes.removeAll(keepingCapacity: true)
        cellHashes.removeAll(keepingCapacity: true)
        self.row = row
        let range = pipeline.streamRange(of: row)
        let dataLength = geometry.dataShards * cellLength
        // SAFETY: a row's stream is at most k cells long; the memory has n.
        try unsafe fill(UnsafeMutableRawBufferPointer(rebasing: memory[..<range.count]))
        unsafe UnsafeMutableRawBufferPointer(rebasing: memory[range.count..<dataLength])
            .initializeMemory(as: UInt8.self, repeating: 0)
        let leafCount = cellLength / Limits.leafBytes
        var hashes = [Digest](repeating: .zero, count: geometry.groupShards * leafCount)
        TreeHasher.lend { hasher in
            for first in stride(from: 0, to: leafCount, by: leavesAtOnce) {
                let leaves = first..<min(first + leavesAtOnce, leafCount)
                seal(leaves, range, hasher, into: &hashes)
            }
        }
        leafHashes = hashes
        cellHashes = (0..<geometry.groupShards).map {
            HashTree.root(ofLeafHashes: Array(hashes[$0 * leafCount..<($0 + 1) * leafCount]))
        }
    }

    /// Calls `body` with the sealed bytes of the cell of a column.
    ///
    /// - Precondition: a row was sealed, and it has the column.
    package func withCell<Result, Failure: Error>(
        _ column: Int, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        precondition(!cellHashes.isEmpty && column >= 0 && column < geometry.groupShards)
        // SAFETY: the cell lies inside the memory, which is lent until `body` returns.
        return try unsafe body(UnsafeRawBufferPointer(rebasing: memory[cellRange(column)]))
    }

    /// The hashes of the leaves of the cell of a column.
    ///
    /// - Precondition: a row was sealed, and it has the column.
    package func leafHashes(ofColumn column: Int) -> ArraySlice<Digest> {
        let leafCount = cellLength / Limits.leafBytes
        return leafHashes[column * leafCount..<(column + 1) * leafCount]
    }

    private func cellRange(_ column: Int) -> Range<Int> {
        column * cellLength..<(column + 1) * cellLength
    }

    /// Takes some leaves of each column through all stages.
    // SAFETY: leaf `l` of column `c` lies at `c * cellLength + l * leafBytes`, inside the cell; the
    // stream's bytes end at `stream.count`, inside the data cells.
    private func seal(
        _ leaves: Range<Int>, _ stream: Range<Int>, _ hasher: TreeHasher,
        into hashes: inout [Digest]
    ) {
        let part = leaves.lowerBound * Limits.leafBytes..<leaves.upperBound * Limits.leafBytes
        for column in 0..<geometry.dataShards {
            let start = column * cellLength + part.lowerBound
            let end = min(start + part.count, stream.count)
            // What follows the stream's end is padding, which stays zero.
            guard start < end else { break }
            let bytes = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[start..<end])
            unsafe pipeline.cipher.apply(
                at: stream.lowerBound + start, from: UnsafeRawBufferPointer(bytes), to: bytes)
        }
        unsafe code.addParity(to: memory, cellLength: cellLength, part: part)
        guard let base = unsafe memory.baseAddress else { return }
        let start = UnsafeRawPointer(base)
        let found = unsafe hasher.leafHashes(count: geometry.groupShards * leaves.count) { index in
            let (column, leaf) = index.quotientAndRemainder(dividingBy: leaves.count)
            return unsafe start + column * cellLength + part.lowerBound + leaf * Limits.leafBytes
        }
        let leafCount = cellLength / Limits.leafBytes
        for (index, hash) in found.enumerated() {
            let (column, leaf) = index.quotientAndRemainder(dividingBy: leaves.count)
            hashes[column * leafCount + leaves.lowerBound + leaf] = hash
        }
    }
}
