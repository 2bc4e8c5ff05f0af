package import PetalsCore

/// One row of a blob by itself: its n cells, sealed and hashed.
package struct SealedRow: Sendable {
    package let row: RowIndex
    /// The whole cell of each column: k data cells, then the parity.
    package let cells: [VerifiedLeaves]
    /// The hash of each cell, by column.
    package let cellHashes: [Digest]

    /// Copies the row that a sealer has sealed last.
    init(_ sealer: RowSealer) {
        row = sealer.row
        cellHashes = sealer.cellHashes
        cells = (0..<sealer.geometry.groupShards).map {
            VerifiedLeaves(sealedBy: sealer, column: $0)
        }
    }
}
