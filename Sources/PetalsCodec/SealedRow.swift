package import PetalsCore

/// One row of a blob as publishing makes it: its n cells, sealed and hashed.
package struct SealedRow: Sendable {
    package let row: RowIndex
    /// The whole cell of each column: k data cells, then the parity.
    package let cells: [VerifiedLeaves]
    /// The hash of each cell, by column.
    package let cellHashes: [Digest]

    /// Hashes the cells of a row; `BlockPipeline.sealRow` is who calls it.
    init(row: RowIndex, cells: [[UInt8]], geometry: BlobGeometry) {
        precondition(cells.count == geometry.groupShards)
        self.row = row
        self.cells = cells.enumerated().map { column, bytes in
            VerifiedLeaves(sealing: geometry.address(row: row, column: column), bytes: bytes)
        }
        cellHashes = self.cells.map { HashTree.root(ofLeafHashes: $0.leafHashes) }
    }
}
