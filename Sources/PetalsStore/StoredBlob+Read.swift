package import PetalsCodec
package import PetalsCore
internal import Synchronization

extension StoredBlob {
    /// Reads leaves and hashes them again.
    ///
    /// - Returns: nil where they are not all there, or where they do not match their hashes any
    ///   more: then the cell is forgotten, with a line in the log, and counts as absent.
    /// - Throws: `.system` when the files cannot be opened.
    package func read(
        _ address: CellAddress, leaves: Range<Int>
    ) throws(PetalsError) -> VerifiedLeaves? {
        var isDamaged = false
        return try readWithHashes(
            address, leaves: leaves, onlyComplete: false, isDamaged: &isDamaged)?.leaves
    }

    /// Whether a cell was there and did not match; then it is forgotten now.
    func findDamage(_ address: CellAddress) throws(PetalsError) -> Bool {
        var isDamaged = false
        _ = try readWithHashes(
            address, leaves: 0..<geometry.leafCount(address), onlyComplete: true,
            isDamaged: &isDamaged)
        return isDamaged
    }

    /// Looks at a cell again after a peer said that it is damaged; forgets it where that is true.
    ///
    /// - Returns: whether it was damaged.
    /// - Throws: `.system` when the files cannot be opened.
    package func recheck(_ address: CellAddress) throws(PetalsError) -> Bool {
        try findDamage(address)
    }

    /// Reads leaves of a complete cell for a peer, straight into the frame that carries them.
    ///
    /// Leaves that lie on this disk are sent as they lie: the peer hashes them anyway, and says so
    /// when they are damaged (`recheck`). Leaves that are made from a published file are checked
    /// here, since the file is its owner's to change.
    ///
    /// - Parameter target: where the leaves go; it has `leaves.count * Limits.leafBytes` bytes.
    /// - Returns: the proof, `HashTree.rangeProof` within the cell, which is empty for a whole
    ///   cell; nil where the cell is not complete, or as in `read`.
    /// - Throws: `.system` when the files cannot be opened.
    package func serve(
        _ address: CellAddress, leaves: Range<Int>, into target: UnsafeMutableRawBufferPointer
    ) throws(PetalsError) -> [Digest]? {
        guard geometry.contains(address), !leaves.isEmpty, leaves.lowerBound >= 0,
            leaves.upperBound <= geometry.leafCount(address),
            target.count == leaves.count * Limits.leafBytes
        else { return nil }
        guard let view = view(address, leaves), view.cellHash != nil else { return nil }
        let hashes = try readLeafHashes(address)
        // SAFETY: the caller owns the target during the call.
        if view.source == nil, try unsafe readBytes(address, leaves: leaves, into: target) {
            // Evicted while it was read: the bytes may be a hole's zeros, and an honest holder
            // would be taken for a liar.
            if isForgotten(address, since: view) { return nil }
            if view.isCached { context.ledger.withLock { $0.touch(key(address)) } }
            return HashTree.rangeProof(leafHashes: hashes, range: leaves)
        }
        var isDamaged = false
        guard
            let found = try readWithHashes(
                address, leaves: leaves, onlyComplete: true, isDamaged: &isDamaged)
        else { return nil }
        // SAFETY: verified leaves have as many bytes as the target, which was checked above.
        unsafe target.copyBytes(from: found.leaves.bytes)
        return HashTree.rangeProof(leafHashes: found.hashes, range: leaves)
    }

    /// What the map says of a cell at one moment.
    private struct View: Sendable {
        let forgotten: Int
        /// The cell's hash, where the cell is complete.
        let cellHash: Digest?
        let source: InPlaceSource?
        let isCached: Bool
    }

    /// Whether any cell of the shard was forgotten since a moment.
    private func isForgotten(_ address: CellAddress, since view: View) -> Bool {
        state.withLock { $0.maps[address.shard]?.forgotten != view.forgotten }
    }

    private func view(_ address: CellAddress, _ leaves: Range<Int>) -> View? {
        open(address.shard)
        return state.withLock { state in
            guard let map = state.maps[address.shard],
                map.masks[address.cell.rawValue].isSuperset(of: LeafSet(leaves))
            else { return nil }
            let isComplete = map.complete.contains(address.cell)
            return View(
                forgotten: map.forgotten,
                cellHash: isComplete ? map.layer?.hash(of: address.cell) : nil,
                source: isInPlace(address.shard, state) ? state.source : nil,
                isCached: shardClass(of: address.shard, state) == .cached)
        }
    }

    private func readWithHashes(
        _ address: CellAddress, leaves: Range<Int>, onlyComplete: Bool, isDamaged: inout Bool
    ) throws(PetalsError) -> (leaves: VerifiedLeaves, hashes: [Digest])? {
        guard geometry.contains(address), !leaves.isEmpty, leaves.lowerBound >= 0,
            leaves.upperBound <= geometry.leafCount(address)
        else { return nil }
        // A mismatch is damage only if the cell was not evicted while it was read; then again.
        for _ in 0..<8 {
            guard let view = view(address, leaves) else { return nil }
            if onlyComplete, view.cellHash == nil { return nil }
            let hashes = try readLeafHashes(address)
            // A complete cell is proved up to the blob's id, not only against what the disk says.
            let isProved = view.cellHash.map { HashTree.root(ofLeafHashes: hashes) == $0 } ?? true
            if isProved, let source = view.source {
                return try readSource(source, address, leaves, hashes)
            }
            if isProved, let bytes = try readBytes(address, leaves: leaves),
                let verified = check(
                    bytes, address, leaves, Array(hashes[leaves]), mayCompare: !onlyComplete)
            {
                // Right bytes, by their checksums; but hashes that nothing proves may be a hole's
                // zeros, where the cell was evicted between the two.
                if view.cellHash == nil, isForgotten(address, since: view) { continue }
                if view.isCached { context.ledger.withLock { $0.touch(key(address)) } }
                return (verified, hashes)
            }
            if forgetDamaged(address, seen: view.forgotten) {
                isDamaged = true
                warn(
                    "\(address) of blob \(id.hex) in \(path(address.shard, .data)) does not match "
                        + "its hashes; it is forgotten and has to be fetched again")
                return nil
            }
        }
        return nil
    }

    /// Leaves from the published file, which is its owner's to change: they are always hashed, and
    /// where they are not what was published the file is let go.
    private func readSource(
        _ source: InPlaceSource, _ address: CellAddress, _ leaves: Range<Int>, _ hashes: [Digest]
    ) throws(PetalsError) -> (leaves: VerifiedLeaves, hashes: [Digest])? {
        guard let bytes = try readSource(source, address, leaves: leaves) else { return nil }
        guard
            let verified = VerifiedLeaves.checked(
                address: address, leaves: leaves, bytes: bytes, leafHashes: Array(hashes[leaves]))
        else {
            letGo(of: source)
            return nil
        }
        return (verified, hashes)
    }

    /// Checks bytes that came from a disk: by the checksums where this process has verified the
    /// leaves before, else by their hashes.
    ///
    /// What a peer complained of and what a person has verified is always hashed.
    private func check(
        _ bytes: [UInt8], _ address: CellAddress, _ leaves: Range<Int>, _ hashes: [Digest],
        mayCompare: Bool
    ) -> VerifiedLeaves? {
        if mayCompare,
            let known = state.withLock({
                $0.maps[address.shard]?.checksums(address.cell, leaves)
            }),
            let verified = VerifiedLeaves.unchanged(
                address: address, leaves: leaves, bytes: bytes, leafHashes: hashes,
                checksums: known)
        {
            return verified
        }
        guard
            let verified = VerifiedLeaves.checked(
                address: address, leaves: leaves, bytes: bytes, leafHashes: hashes)
        else { return nil }
        guard mayCompare else { return verified }
        let checksums = verified.checksums()
        state.withLock {
            $0.maps[address.shard]?.keep(checksums, of: address.cell, from: leaves.lowerBound)
        }
        return verified
    }

    /// The bytes of leaves, not checked yet; nil where they cannot be had.
    private func readBytes(
        _ address: CellAddress, leaves: Range<Int>
    ) throws(PetalsError) -> [UInt8]? {
        try readingData(address, leaves) { (data, offset) throws(PetalsError) in
            try data.read(count: leaves.count * Limits.leafBytes, at: offset)
        }
    }

    /// The same from this node's own files, into the caller's memory; false where they cannot be
    /// had.
    private func readBytes(
        _ address: CellAddress, leaves: Range<Int>, into target: UnsafeMutableRawBufferPointer
    ) throws(PetalsError) -> Bool {
        let count = try readingData(address, leaves) { (data, offset) throws(PetalsError) in
            // SAFETY: the caller owns the target during the call.
            try unsafe data.read(into: target, at: offset)
        }
        return count == target.count
    }

    /// Calls `body` with the file and the place where leaves lie; nil where there is no such file
    /// or it cannot be read.
    private func readingData<Value>(
        _ address: CellAddress, _ leaves: Range<Int>,
        _ body: (DiskFile, _ offset: Int) throws(PetalsError) -> Value
    ) throws(PetalsError) -> Value? {
        guard let data = try file(address.shard, .data) else { return nil }
        let offset = dataRange(address).lowerBound + leaves.lowerBound * Limits.leafBytes
        do throws(PetalsError) {
            return try body(data, offset)
        } catch {
            // A sector that cannot be read is as good as one that reads wrong.
            warn("\(error)")
            return nil
        }
    }
}
