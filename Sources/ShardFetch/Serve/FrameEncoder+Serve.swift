package import NIOCore
internal import PetalsCodec
package import PetalsCore
package import PetalsStore

extension FrameEncoder {
    /// Leaves of a complete cell with their proof, read from the store straight into the frame.
    ///
    /// - Returns: nil where the store cannot give them, as `StoredBlob.serve` says it.
    /// - Throws: as `StoredBlob.serve`.
    /// - Precondition: the blob has the cell, and the cell the leaves, of which there is one.
    package static func data(
        answering request: UInt32, _ address: CellAddress, leaves: Range<Int>,
        from blob: StoredBlob
    ) throws(PetalsError) -> ByteBuffer? {
        let header = DataHeader(
            request: request, leaves: leaves,
            proofCount: HashTree.rangeProofCount(
                count: blob.geometry.leafCount(address), range: leaves))
        // SAFETY: the frame lends its memory for the leaves to the store during the call.
        return try unsafe data(header) { (target) throws(PetalsError) in
            try unsafe blob.serve(address, leaves: leaves, into: target)
        }
    }
}
