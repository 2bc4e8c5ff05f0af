package import PetalsCore

/// The cell hashes of one shard, proved to fold to the shard's root.
///
/// It is the layer of the shard's hash tree over whole cells: fetched once and kept, it makes the
/// proof of a leaf four hashes long and lets a whole cell be checked by its own leaves alone.
package struct CellLayer: Hashable, Sendable {
    package let shard: ShardIndex
    /// The root over each cell's leaves, in cell order.
    package let cellHashes: [Digest]
    /// The root of the shard's tree, to which the hashes fold.
    package let root: Digest
    /// Leaves of the shard's last cell; all others have 16.
    private let lastLeafCount: Int

    /// Takes hashes that may come from a peer or a disk.
    ///
    /// - Parameter root: the shard's root, from the blob's descriptor.
    /// - Returns: nil where the geometry has no such shard, the number of hashes is not that of its
    ///   cells, or they do not fold to `root`.
    /// - Complexity: O(cells).
    package init?(shard: ShardIndex, cellHashes: [Digest], geometry: BlobGeometry, root: Digest) {
        guard geometry.contains(shard), cellHashes.count == geometry.cellCount(of: shard),
            HashTree.root(ofLeafHashes: cellHashes) == root
        else { return nil }
        self.shard = shard
        self.cellHashes = cellHashes
        self.root = root
        lastLeafCount = geometry.leafCount(
            CellAddress(shard: shard, cell: CellIndex(cellHashes.count - 1)))
    }

    /// The hash of a cell; nil where the shard has no such cell.
    package func hash(of cell: CellIndex) -> Digest? {
        cellHashes.indices.contains(cell.rawValue) ? cellHashes[cell.rawValue] : nil
    }

    /// Leaves of a cell of the shard: 16, or fewer in a blob's last row.
    package func leafCount(of cell: CellIndex) -> Int {
        cell.rawValue == cellHashes.count - 1 ? lastLeafCount : Limits.leavesPerCell
    }
}
