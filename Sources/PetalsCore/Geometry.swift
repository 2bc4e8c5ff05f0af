/// How a blob of `storedLength` bytes is cut into groups, shards, rows, cells and leaves.
///
/// The stored stream is laid out row by row. Row `r` holds the next `k` cells, one for each data
/// shard of the row's group, and `n - k` parity cells over them. All cells have `Limits.cellBytes`,
/// except in the blob's last row, where they have `lastCellLength`: what is left of the stream
/// divided by `k`, rounded up to whole leaves, so that a small blob does not grow to a whole row.
/// Stream bytes past the end are zero and are not encrypted.
///
/// So every shard is a whole number of leaves, every leaf is whole, and every leaf starts at a
/// multiple of 64 in the stream, as the cipher's block counter wants it.
package struct BlobGeometry: Hashable, Sendable {
    /// Bytes of the stored stream (after compression, before parity).
    package let storedLength: Int
    /// k: shards of a group that are needed to read it.
    package let dataShards: Int
    /// n: shards of a group.
    package let groupShards: Int
    /// Rows of each group but the last, which may have fewer.
    package let rowsPerGroup: Int
    /// Rows of the blob.
    package let rowCount: Int
    /// Bytes of each cell of the last row.
    package let lastCellLength: Int

    /// Checks and completes a geometry that came from a document.
    ///
    /// - Throws: `PetalsError.limitExceeded` naming the value that is out of range.
    package init(
        storedLength: Int, dataShards: Int, groupShards: Int, rowsPerGroup: Int
    ) throws(PetalsError) {
        func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws(PetalsError) {
            guard range.contains(value) else {
                throw PetalsError(
                    .limitExceeded,
                    "the blob's \(name) is \(value), outside \(range.lowerBound) to "
                        + "\(range.upperBound); the document is damaged or hostile")
            }
        }
        try check("stored length", storedLength, 1...Limits.blobBytesMax)
        try check("number of data shards", dataShards, 1...Limits.dataShardsMax)
        try check("number of shards", groupShards, (dataShards + 1)...Limits.groupShardsMax)
        try check("number of rows in a group", rowsPerGroup, 1...Limits.rowsPerGroupMax)
        let rowBytes = dataShards * Limits.cellBytes
        self.storedLength = storedLength
        self.dataShards = dataShards
        self.groupShards = groupShards
        self.rowsPerGroup = rowsPerGroup
        rowCount = ceilDivide(storedLength, rowBytes)
        let tail = storedLength - (rowCount - 1) * rowBytes
        lastCellLength = roundUp(ceilDivide(tail, dataShards), to: Limits.leafBytes)
        try check("number of all shards", shardCount, 1...Limits.shardsPerBlobMax)
    }

    /// The geometry that publishing chooses: k = size / 50 MB within 1...16, n = max(k+2, 1.5 k),
    /// and as many groups as keep a shard within 200 MB.
    ///
    /// - Throws: `PetalsError.limitExceeded` when `storedLength` is outside 1...16 TiB.
    package static func standard(
        storedLength: Int, dataShards: Int? = nil, groupShards: Int? = nil
    ) throws(PetalsError) -> BlobGeometry {
        let k = dataShards ?? min(max(storedLength / 50_000_000, 1), 16)
        // The initialiser checks both; here they are clamped so that no sum of them overflows.
        let boundedK = min(max(k, 1), Limits.dataShardsMax)
        let bounded = min(max(storedLength, 1), Limits.blobBytesMax)
        let n = groupShards ?? max(boundedK + 2, ceilDivide(3 * boundedK, 2))
        let rows = ceilDivide(bounded, boundedK * Limits.cellBytes)
        let groups = ceilDivide(rows, Limits.rowsPerGroupMax)
        return try BlobGeometry(
            storedLength: storedLength, dataShards: k, groupShards: n,
            rowsPerGroup: ceilDivide(rows, groups))
    }

    /// Groups of the blob.
    package var groupCount: Int { ceilDivide(rowCount, rowsPerGroup) }
    /// Shards of all groups.
    package var shardCount: Int { groupCount * groupShards }
    /// n - k: shards of a group that may be lost.
    package var parityShards: Int { groupShards - dataShards }
}

/// One cell of a blob.
package struct CellAddress: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let shard: ShardIndex
    package let cell: CellIndex

    package init(shard: ShardIndex, cell: CellIndex) {
        self.shard = shard
        self.cell = cell
    }

    package static func < (a: Self, b: Self) -> Bool { (a.shard, a.cell) < (b.shard, b.cell) }

    package var description: String { "shard \(shard) cell \(cell)" }
}

/// A part of the stored stream that lies in one data cell.
package struct CellPiece: Hashable, Sendable {
    package let address: CellAddress
    /// Where in the cell, in bytes.
    package let rangeInCell: Range<Int>
    /// Where in the stored stream the piece starts.
    package let streamOffset: Int

    /// The leaves of the cell that the piece touches.
    package var leaves: LeafSet { LeafSet(covering: rangeInCell) }
}
