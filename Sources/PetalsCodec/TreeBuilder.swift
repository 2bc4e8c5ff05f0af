package import PetalsCore

/// Collects the cell hashes of a publication while its rows stream by.
///
/// It keeps 32 bytes a cell, so 1.5 GB of cells cost 200 kB. Rows may come in any order.
package struct TreeBuilder: Sendable {
    package let geometry: BlobGeometry
    /// By row, then by column; empty where the row has not come yet.
    private var rows: [[Digest]]
    private var missingRows: Int

    package init(geometry: BlobGeometry) {
        self.geometry = geometry
        rows = Array(repeating: [], count: geometry.rowCount)
        missingRows = geometry.rowCount
    }

    /// Whether all rows have come.
    package var isComplete: Bool { missingRows == 0 }

    /// Takes a row's hashes; the same row again takes the place of the first.
    ///
    /// - Precondition: the row was sealed for this geometry.
    package mutating func add(_ row: SealedRow) {
        add(row.row, cellHashes: row.cellHashes)
    }

    /// Takes the cell hashes of a row by column, as a resumed publication has kept them.
    ///
    /// - Precondition: the blob has the row, and there is one hash a column.
    package mutating func add(_ row: RowIndex, cellHashes: [Digest]) {
        precondition(rows.indices.contains(row.rawValue))
        precondition(cellHashes.count == geometry.groupShards)
        if rows[row.rawValue].isEmpty { missingRows -= 1 }
        rows[row.rawValue] = cellHashes
    }

    /// The layer of every shard, in shard order; their `root`s are the descriptor's.
    ///
    /// - Precondition: `isComplete`.
    /// - Complexity: O(cells).
    package func layers() -> [CellLayer] {
        precondition(isComplete)
        return (0..<geometry.shardCount).map { index in
            let shard = ShardIndex(index)
            let column = geometry.column(of: shard)
            let hashes = geometry.rows(ofGroup: geometry.group(of: shard)).map { rows[$0][column] }
            let root = HashTree.root(ofLeafHashes: hashes)
            guard
                let layer = CellLayer(
                    shard: shard, cellHashes: hashes, geometry: geometry, root: root)
            else { preconditionFailure("hashes fold to the root that was made of them") }
            return layer
        }
    }

    /// The descriptor of the blob.
    ///
    /// - Precondition: `isComplete`.
    package func descriptor() -> BlobDescriptor {
        BlobDescriptor(geometry: geometry, shardRoots: layers().map(\.root))
    }
}
