internal import PetalsCodec
package import PetalsCore

extension StoredBlob {
    /// Whether all of the stored stream is here; answers from memory.
    ///
    /// The padding behind its end may be missing: nobody who reads asks for it.
    package var hasAllData: Bool {
        geometry.streamShards.allSatisfy { shard in
            (0..<geometry.cellCount(of: shard)).allSatisfy { cell in
                let address = CellAddress(shard: shard, cell: CellIndex(cell))
                return present(address).isSuperset(of: LeafSet(geometry.streamLeaves(of: address)))
            }
        }
    }

    /// Reads a file from the cells that are here and hashes its plaintext, in memory that does not
    /// grow with its size.
    ///
    /// Nothing is fetched. Blocks for as long as it takes to read all of it.
    ///
    /// - Parameter isWanted: asked after each frame; false ends the work.
    /// - Returns: nil where a cell is not here (any more), or the work was ended.
    /// - Throws: `PetalsError.corrupt` where the record does not fit the blob or a frame does not
    ///   decode: then it is no file at all. `.system` from the disk.
    package func readPlaintextDigest(
        of record: FileRecord, while isWanted: () -> Bool = { true }
    ) throws(PetalsError) -> Digest? {
        try BlockPipeline.check(record, against: descriptor)
        var hasher = StreamingSHA256()
        // Frames of a coded file end within cells: the cell that they share is read once.
        var cell: VerifiedLeaves?
        for frame in 0..<record.frames.frameCount {
            guard isWanted() else { return nil }
            let stored = record.frames.storedRange(frame: frame)
            var sealed: [UInt8] = []
            sealed.reserveCapacity(stored.count)
            for piece in geometry.pieces(of: stored) {
                if cell?.address != piece.address {
                    cell = try read(
                        piece.address, leaves: geometry.streamLeaves(of: piece.address))
                }
                guard let cell else { return nil }
                sealed += cell.bytes[piece.rangeInCell]
            }
            hasher.update(
                try BlockPipeline.openStored(
                    sealed: &sealed, storedOffset: stored.lowerBound, record: record,
                    plain: record.frames.plainRange(frame: frame)))
        }
        return hasher.finalize()
    }
}
