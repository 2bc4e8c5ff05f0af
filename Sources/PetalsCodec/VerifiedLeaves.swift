package import PetalsCore

/// Neighbouring leaves of one cell whose bytes are proved to be the right ones.
///
/// There is no way to make one of bytes that nobody hashed: `CellLayer.verify` earns it from a
/// peer's bytes and proof, `checked` from a disk's bytes and the leaf hashes kept beside them,
/// `unchanged` from bytes that this process hashed before and finds again, and sealing a row makes
/// the leaves that define what is right. So nothing that takes a `VerifiedLeaves` (the
/// store, the server, the reader) has to ask again.
package struct VerifiedLeaves: Equatable, Sendable, CustomStringConvertible {
    package let address: CellAddress
    /// Which leaves of the cell, counted from its start.
    package let leaves: Range<Int>
    /// The leaves' sealed bytes: `leaves.count * Limits.leafBytes`.
    package let bytes: [UInt8]
    /// The hash of each leaf.
    package let leafHashes: [Digest]

    fileprivate init(
        address: CellAddress, leaves: Range<Int>, bytes: [UInt8], hashes: [Digest]
    ) {
        self.address = address
        self.leaves = leaves
        self.bytes = bytes
        leafHashes = hashes
    }

    /// A whole cell that this node has just sealed; its hashes are the truth from now on.
    init(sealedBy sealer: RowSealer, column: Int) {
        let hashes = Array(sealer.leafHashes(ofColumn: column))
        // SAFETY: the cell is copied while the sealer lends it.
        let bytes = unsafe sealer.withCell(column) { unsafe Array($0) }
        self.init(
            address: sealer.geometry.address(row: sealer.row, column: column),
            leaves: 0..<hashes.count, bytes: bytes, hashes: hashes)
    }

    /// Checks bytes that were read back from a disk against the leaf hashes kept with them.
    ///
    /// - Returns: nil where a number does not fit or a leaf does not match its hash.
    package static func checked(
        address: CellAddress, leaves: Range<Int>, bytes: [UInt8], leafHashes: [Digest]
    ) -> VerifiedLeaves? {
        guard fits(leaves, bytes), leafHashes.count == leaves.count,
            Self.leafHashes(of: bytes) == leafHashes
        else { return nil }
        return VerifiedLeaves(address: address, leaves: leaves, bytes: bytes, hashes: leafHashes)
    }

    /// Takes bytes that were read back from this node's own disk and that this process had verified
    /// before, if their checksums are the same as then.
    ///
    /// - Returns: nil where a number does not fit or a checksum differs.
    package static func unchanged(
        address: CellAddress, leaves: Range<Int>, bytes: [UInt8], leafHashes: [Digest],
        checksums: [LeafChecksum]
    ) -> VerifiedLeaves? {
        guard fits(leaves, bytes), leafHashes.count == leaves.count,
            Self.checksums(of: bytes) == checksums
        else { return nil }
        return VerifiedLeaves(address: address, leaves: leaves, bytes: bytes, hashes: leafHashes)
    }

    /// The checksum of each leaf, for `unchanged`.
    package func checksums() -> [LeafChecksum] { Self.checksums(of: bytes) }

    /// Where the leaves are, without their bytes.
    package var description: String { "\(address), leaves \(leaves)" }

    /// Where one leaf lies in `bytes`, by its place in the cell.
    ///
    /// - Precondition: `leaf` is one of `leaves`.
    package func rangeInBytes(ofLeaf leaf: Int) -> Range<Int> {
        precondition(leaves.contains(leaf))
        let start = (leaf - leaves.lowerBound) * Limits.leafBytes
        return start..<start + Limits.leafBytes
    }

    /// Some of these leaves, by themselves.
    ///
    /// - Precondition: `part` is not empty and lies inside `leaves`.
    package func part(_ part: Range<Int>) -> VerifiedLeaves {
        precondition(!part.isEmpty)
        precondition(leaves.lowerBound <= part.lowerBound && part.upperBound <= leaves.upperBound)
        if part == leaves { return self }
        let first = part.lowerBound - leaves.lowerBound
        let start = first * Limits.leafBytes
        return VerifiedLeaves(
            address: address, leaves: part,
            bytes: Array(bytes[start..<start + part.count * Limits.leafBytes]),
            hashes: Array(leafHashes[first..<first + part.count]))
    }

    /// Puts parts of one cell together that cover all of its leaves.
    ///
    /// - Returns: nil where a leaf is missing or a part belongs to another cell.
    package static func joined(_ parts: [VerifiedLeaves], leafCount: Int) -> VerifiedLeaves? {
        guard let address = parts.first?.address else { return nil }
        if let whole = parts.first(where: { $0.leaves == 0..<leafCount }) { return whole }
        var bytes: [UInt8] = []
        var hashes: [Digest] = []
        bytes.reserveCapacity(leafCount * Limits.leafBytes)
        while hashes.count < leafCount {
            let leaf = hashes.count
            guard let part = parts.first(where: { $0.leaves.contains(leaf) }),
                part.address == address
            else { return nil }
            let rest = part.part(leaf..<part.leaves.upperBound)
            bytes += rest.bytes
            hashes += rest.leafHashes
        }
        return VerifiedLeaves(
            address: address, leaves: 0..<leafCount, bytes: bytes, hashes: hashes)
    }

    /// Whether `leaves` are leaves of a cell and `bytes` are as many bytes as they have.
    fileprivate static func fits(_ leaves: Range<Int>, _ bytes: [UInt8]) -> Bool {
        !leaves.isEmpty && leaves.lowerBound >= 0 && leaves.upperBound <= Limits.leavesPerCell
            && bytes.count == leaves.count * Limits.leafBytes
    }

    /// The hash of each whole leaf of `bytes`.
    fileprivate static func leafHashes(of bytes: [UInt8]) -> [Digest] {
        TreeHasher.lend { hasher in
            // SAFETY: leaf i is inside the array for each i below the number of whole leaves, and
            // the array lives until the closure returns.
            unsafe bytes.withUnsafeBytes { buffer in
                guard let start = buffer.baseAddress else { return [] }
                return unsafe hasher.leafHashes(count: buffer.count / Limits.leafBytes) {
                    unsafe start + $0 * Limits.leafBytes
                }
            }
        }
    }

    private static func checksums(of bytes: [UInt8]) -> [LeafChecksum] {
        // SAFETY: a `UInt8` has no padding.
        let span = unsafe bytes.span.bytes
        return stride(from: 0, to: bytes.count, by: Limits.leafBytes).map {
            LeafChecksum(of: span.extracting($0..<$0 + Limits.leafBytes))
        }
    }
}

extension CellLayer {
    /// Checks leaves that a peer sent.
    ///
    /// - Parameters:
    ///   - leaves: which leaves of the cell the bytes are, as it was asked for.
    ///   - proof: `HashTree.rangeProof` within the cell; empty for a whole cell.
    ///   - leafCount: leaves of the cell, `BlobGeometry.leafCount(address)`.
    /// - Returns: nil where the cell is not one of this shard, a number does not fit, or the bytes
    ///   and the proof do not lead to the cell's hash: whoever sent them is broken or lies.
    package func verify(
        address: CellAddress, leaves: Range<Int>, bytes: [UInt8], proof: [Digest], leafCount: Int
    ) -> VerifiedLeaves? {
        guard address.shard == shard, let expected = hash(of: address.cell),
            leafCount == self.leafCount(of: address.cell), leaves.upperBound <= leafCount,
            VerifiedLeaves.fits(leaves, bytes)
        else { return nil }
        let hashes = VerifiedLeaves.leafHashes(of: bytes)
        let root = HashTree.root(count: leafCount, range: leaves, hashes: hashes, proof: proof)
        guard root == expected else { return nil }
        return VerifiedLeaves(address: address, leaves: leaves, bytes: bytes, hashes: hashes)
    }
}
