package import PetalsCore

extension VerifiedLeaves {
    /// Rebuilds a whole cell from k others of its row.
    ///
    /// No key is needed: relays repair what they cannot read. The result is checked like a peer's
    /// bytes, since a publisher can have made parity that does not belong to the data.
    ///
    /// - Parameters:
    ///   - sources: whole cells of the same row in different columns, k or more of them.
    ///   - layer: the hashes of the wanted cell's shard.
    /// - Throws: `PetalsError.unavailable` where there are too few sources, `.badInput` where they
    ///   are not whole cells of one row, `.corrupt` where the result does not match its hash.
    package static func rebuilt(
        _ address: CellAddress, from sources: [VerifiedLeaves], layer: CellLayer,
        geometry: BlobGeometry
    ) throws(PetalsError) -> VerifiedLeaves {
        guard geometry.contains(address) else {
            throw PetalsError(.badInput, "the blob has no \(address)")
        }
        let row = geometry.row(of: address)
        let leafCount = geometry.leafCount(address)
        var available: [(column: Int, bytes: [UInt8])] = []
        for source in sources.prefix(geometry.groupShards) {
            let column = geometry.column(of: source.address.shard)
            guard geometry.contains(source.address), geometry.row(of: source.address) == row,
                source.leaves == 0..<leafCount, !available.contains(where: { $0.column == column })
            else {
                throw PetalsError(
                    .badInput,
                    "\(source.address), \(source.leaves) cannot help to rebuild \(address): it is "
                        + "not another whole cell of the same row")
            }
            available.append((column, source.bytes))
        }
        guard available.count >= geometry.dataShards else {
            throw PetalsError(
                .unavailable,
                "\(address) cannot be rebuilt from \(available.count) cells of its row; "
                    + "it takes \(geometry.dataShards)")
        }
        let bytes = ErasureCode.shared(for: geometry).reconstruct(
            available: Array(available.prefix(geometry.dataShards)),
            wanted: [geometry.column(of: address.shard)])[0]
        guard
            let leaves = layer.verify(
                address: address, leaves: 0..<leafCount, bytes: bytes, proof: [],
                leafCount: leafCount)
        else {
            throw PetalsError(
                .corrupt,
                "\(address) was rebuilt from \(geometry.dataShards) verified cells and does not "
                    + "match its hash: the blob was published with false parity")
        }
        return leaves
    }
}
