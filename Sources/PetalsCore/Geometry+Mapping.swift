extension BlobGeometry {
    // MARK: Rows and cells

    /// Bytes of each cell of a row.
    package func cellLength(row: RowIndex) -> Int {
        row.rawValue == rowCount - 1 ? lastCellLength : Limits.cellBytes
    }

    /// All shards, in order.
    package var shards: [ShardIndex] { (0..<shardCount).map { ShardIndex($0) } }

    /// The shards that hold stream bytes, in order.
    package var streamShards: [ShardIndex] { shards.filter(isData) }

    /// The group that a shard belongs to.
    package func group(of shard: ShardIndex) -> Int { shard.rawValue / groupShards }

    /// A shard's place in its group: below `dataShards` it is a data shard, else parity.
    package func column(of shard: ShardIndex) -> Int { shard.rawValue % groupShards }

    /// Whether a shard holds stream bytes, not parity.
    package func isData(_ shard: ShardIndex) -> Bool { column(of: shard) < dataShards }

    /// The rows of a group.
    package func rows(ofGroup group: Int) -> Range<Int> {
        group * rowsPerGroup..<min((group + 1) * rowsPerGroup, rowCount)
    }

    /// The row that a cell lies in.
    package func row(of address: CellAddress) -> RowIndex {
        RowIndex(group(of: address.shard) * rowsPerGroup + address.cell.rawValue)
    }

    /// The cell of column `column` in a row.
    package func address(row: RowIndex, column: Int) -> CellAddress {
        CellAddress(
            shard: ShardIndex(row.rawValue / rowsPerGroup * groupShards + column),
            cell: CellIndex(row.rawValue % rowsPerGroup))
    }

    /// Whether an address that came from outside names a cell of this blob.
    package func contains(_ address: CellAddress) -> Bool {
        contains(address.shard) && address.cell.rawValue >= 0
            && address.cell.rawValue < cellCount(of: address.shard)
    }

    /// Whether a shard index that came from outside names a shard of this blob.
    package func contains(_ shard: ShardIndex) -> Bool {
        shard.rawValue >= 0 && shard.rawValue < shardCount
    }

    // MARK: Shards

    /// Cells of a shard: the rows of its group.
    package func cellCount(of shard: ShardIndex) -> Int { rows(ofGroup: group(of: shard)).count }

    /// Bytes of a cell.
    package func cellLength(_ address: CellAddress) -> Int { cellLength(row: row(of: address)) }

    /// Leaves of a cell: 16, or fewer in the blob's last row.
    package func leafCount(_ address: CellAddress) -> Int {
        cellLength(address) / Limits.leafBytes
    }

    /// Bytes of a shard; all shards of a group have the same.
    package func shardLength(_ shard: ShardIndex) -> Int {
        let rows = rows(ofGroup: group(of: shard))
        return (rows.count - 1) * Limits.cellBytes + cellLength(row: RowIndex(rows.upperBound - 1))
    }

    /// Leaves of a shard.
    package func leafCount(of shard: ShardIndex) -> Int { shardLength(shard) / Limits.leafBytes }

    // MARK: The stored stream

    /// Where a data cell's first byte lies in the stored stream; it may be past the end, where a
    /// cell of the last row is only padding.
    package func streamOffset(_ address: CellAddress) -> Int {
        let row = row(of: address)
        return row.rawValue * dataShards * Limits.cellBytes
            + column(of: address.shard) * cellLength(row: row)
    }

    /// The leaves of a data cell that hold bytes of the stored stream; the others are padding,
    /// which no reader asks for.
    ///
    /// Empty where all of the cell is padding.
    package func streamLeaves(of address: CellAddress) -> Range<Int> {
        let bytes = min(cellLength(address), storedLength - streamOffset(address))
        return 0..<ceilDivide(max(bytes, 0), Limits.leafBytes)
    }

    /// Cuts a range of the stored stream into the parts of the data cells that hold it, in order.
    ///
    /// - Precondition: the range lies inside `0..<storedLength`.
    /// - Complexity: O(cells touched).
    package func pieces(of range: Range<Int>) -> [CellPiece] {
        precondition(range.lowerBound >= 0 && range.upperBound <= storedLength)
        var pieces: [CellPiece] = []
        var offset = range.lowerBound
        let rowBytes = dataShards * Limits.cellBytes
        while offset < range.upperBound {
            let row = RowIndex(offset / rowBytes)
            let cellLength = cellLength(row: row)
            let inRow = offset - row.rawValue * rowBytes
            let start = inRow % cellLength
            let length = min(cellLength - start, range.upperBound - offset)
            pieces.append(
                CellPiece(
                    address: address(row: row, column: inRow / cellLength),
                    rangeInCell: start..<start + length, streamOffset: offset))
            offset += length
        }
        return pieces
    }
}
