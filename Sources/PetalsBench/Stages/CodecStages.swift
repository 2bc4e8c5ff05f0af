internal import PetalsCodec
internal import PetalsCore
internal import PetalsTesting

extension Stage {
    /// What happens to every byte between a file and a leaf.
    static let codec = [
        Stage(
            "verify-cell", "hash 16 leaves from a peer up to the cell's hash",
            .bytes(Limits.cellBytes), counted: 20, run: verifyCell),
        Stage(
            "compare-checksums", "CRC-32C of 16 leaves, compared",
            .bytes(Limits.cellBytes), counted: 200, run: compareChecksums),
        Stage(
            "encrypt-cell", "XChaCha20 over a cell, in place", .bytes(Limits.cellBytes),
            counted: 50, run: encryptCell),
        Stage(
            "encode-row", "Reed-Solomon: 8 data cells to 4 for parity",
            .bytes(8 * Limits.cellBytes), counted: 10, run: encodeRow),
        Stage(
            "rebuild-cell", "a lost cell from 8 of its row, verified",
            .bytes(Limits.cellBytes), counted: 20, run: rebuildCell),
        Stage(
            "seal-row", "encrypt, encode and hash a row of 8 + 4 cells",
            .bytes(8 * Limits.cellBytes), counted: 2, run: sealRow),
    ]

    private static func verifyCell(_ meter: Meter) throws {
        let (blob, cell) = try Samples.cell()
        let layer = blob.layers[0]
        try meter.measure {
            let verified = layer.verify(
                address: cell.address, leaves: cell.leaves, bytes: cell.bytes, proof: [],
                leafCount: cell.leaves.count)
            try require(verified, "a sound cell was refused")
        }
    }

    private static func compareChecksums(_ meter: Meter) throws {
        let cell = try Samples.cell().cell
        let checksums = cell.checksums()
        try meter.measure {
            let unchanged = VerifiedLeaves.unchanged(
                address: cell.address, leaves: cell.leaves, bytes: cell.bytes,
                leafHashes: cell.leafHashes, checksums: checksums)
            try require(unchanged, "an unchanged cell was taken for another")
        }
    }

    private static func encryptCell(_ meter: Meter) throws {
        var bytes = Samples.noise(Limits.cellBytes)
        let cipher = StreamCipher(key: try Samples.blob(dataShards: 1).record.blobKey)
        try meter.measure { cipher.apply(at: 0, to: &bytes) }
    }

    /// A publication has this done leaf by leaf, inside `seal-row`.
    private static func encodeRow(_ meter: Meter) throws {
        let bytes = Samples.noise(8 * Limits.cellBytes)
        let data = (0..<8).map { Array(bytes[$0 * Limits.cellBytes..<($0 + 1) * Limits.cellBytes]) }
        let code = ErasureCode(dataColumns: 8, columns: 12)
        try meter.measure { try require(code.parity(of: data).count == 4, "parity is missing") }
    }

    private static func rebuildCell(_ meter: Meter) throws {
        let blob = try Samples.blob()
        let lost = CellAddress(shard: ShardIndex(0), cell: CellIndex(0))
        let others = blob.cells.values.filter { $0.address != lost }
            .sorted { $0.address < $1.address }.prefix(8)
        try meter.measure {
            let rebuilt = try VerifiedLeaves.rebuilt(
                lost, from: Array(others), layer: blob.layers[0], geometry: blob.geometry)
            try require(rebuilt.address == lost, "another cell was rebuilt")
        }
    }

    private static func sealRow(_ meter: Meter) throws {
        let blob = try Samples.blob()
        let sealer = RowSealer(
            BlockPipeline(geometry: blob.geometry, blobKey: blob.record.blobKey))
        try meter.measure {
            // SAFETY: the buffer has the bytes of a row, which is all of the blob.
            unsafe sealer.seal(RowIndex(0)) { unsafe $0.copyBytes(from: blob.plain) }
            try require(sealer.cellHashes[0] == blob.layers[0].root, "the row was sealed wrongly")
        }
    }
}
