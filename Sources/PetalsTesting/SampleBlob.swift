package import PetalsCodec
package import PetalsCore
package import PetalsStore

/// A raw file of random bytes, sealed into a blob in memory.
package struct SampleBlob: Sendable {
    package let geometry: BlobGeometry
    /// The file.
    package let plain: [UInt8]
    package let record: FileRecord
    package let relayKey: SecretKey
    package let sealedDescriptor: [UInt8]
    package let id: BlobID
    /// The cell hashes of each shard, in shard order.
    package let layers: [CellLayer]
    /// Every cell of every shard.
    package let cells: [CellAddress: VerifiedLeaves]

    /// Seals `size` random bytes.
    ///
    /// - Parameter claimed: the SHA-256 that its record and key pretend the file to have; its own
    ///   unless given.
    /// - Throws: `PetalsError.limitExceeded` for an impossible geometry.
    package init(
        seed: UInt64, size: Int, dataShards: Int, groupShards: Int, rowsPerGroup: Int = 700,
        claiming claimed: Digest? = nil
    ) throws(PetalsError) {
        var generator = SeededGenerator(seed: seed)
        plain = generator.bytes(size)
        geometry = try BlobGeometry(
            storedLength: size, dataShards: dataShards, groupShards: groupShards,
            rowsPerGroup: rowsPerGroup)
        let digest = claimed ?? sha256(plain)
        let key = KeyDerivation.blobKey(storedSHA256: digest, geometry: geometry)
        let pipeline = BlockPipeline(geometry: geometry, blobKey: key)
        var tree = TreeBuilder(geometry: geometry)
        var cells: [CellAddress: VerifiedLeaves] = [:]
        for index in 0..<geometry.rowCount {
            let range = pipeline.streamRange(of: RowIndex(index))
            let row = pipeline.sealRow(RowIndex(index), stream: Array(plain[range]))
            tree.add(row)
            for cell in row.cells { cells[cell.address] = cell }
        }
        self.cells = cells
        layers = tree.layers()
        relayKey = KeyDerivation.relayKey(of: key)
        (sealedDescriptor, id) = SealedDescriptor.seal(tree.descriptor(), relayKey: relayKey)
        record = FileRecord(
            size: size, sha256: digest,
            frames: try FrameTable(size: size, codec: .raw, lengths: []),
            blobID: id, blobKey: key, storedSHA256: digest)
    }

    /// All shards of the blob.
    package var shards: [ShardIndex] { geometry.shards }

    /// Puts whole shards into a store, as `petalsfs hold` would, with the trees of all shards.
    ///
    /// - Throws: what the store throws.
    @discardableResult
    package func install(
        in store: Store, shards: [ShardIndex]
    ) throws(PetalsError) -> StoredBlob {
        let blob = try store.blob(id: id, relayKey: relayKey, descriptor: sealedDescriptor)
        for layer in layers { try blob.keep(layer) }
        try store.setClass(.held, of: shards, blob: id)
        for (address, cell) in cells.sorted(by: { $0.key < $1.key })
        where shards.contains(address.shard) {
            try blob.write(cell)
        }
        return blob
    }
}
