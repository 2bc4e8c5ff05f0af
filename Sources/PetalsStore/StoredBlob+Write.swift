package import PetalsCodec
package import PetalsCore
internal import Synchronization

extension StoredBlob {
    /// Keeps the cell hashes of a shard, which must come before its leaves.
    ///
    /// - Throws: `.corrupt` when they are not those of this blob, `.noSpace` or `.system`.
    package func keep(_ layer: CellLayer) throws(PetalsError) {
        let shard = layer.shard
        guard geometry.contains(shard), layer.root == descriptor.shardRoots[shard.rawValue],
            layer.cellHashes.count == geometry.cellCount(of: shard)
        else {
            throw PetalsError(
                .corrupt,
                "the cell hashes for shard \(shard) are not those of blob \(id.short); this is a "
                    + "fault of petalsfs, please report it")
        }
        open(shard)
        try opening.hold { () throws(PetalsError) in
            let isKept = try state.withLock { (state) throws(PetalsError) in
                if state.isRemoved { throw removedError }
                return state.maps[shard]?.layer != nil
            }
            if isKept { return }
            let tree = try createFile(shard, .tree)
            let bytes = Digest.packed(layer.cellHashes)
            try tree.write(bytes, at: layerRange(shard).lowerBound)
            state.withLock { state in
                state.maps[shard]?.layer = layer
                state.known.insert(shard)
            }
        }
    }

    /// Stores verified leaves; those that are there already cost nothing.
    ///
    /// Data first, then the hashes that make it count. Where the disk turns out to be full, some
    /// cached cells go, and it is tried once more. Leaves of a shard that is made from a published
    /// file need only their hashes stored.
    ///
    /// - Throws: `.corrupt` when the shard's layer was not kept or the leaves are not of this blob,
    ///   `.noSpace` when there is no room: the caller goes on without storing; `.notFound` when the
    ///   blob was removed; `.system` from the disk.
    package func write(_ leaves: VerifiedLeaves) throws(PetalsError) {
        let address = leaves.address
        guard geometry.contains(address), leaves.leaves.upperBound <= geometry.leafCount(address)
        else { throw foreignError(address) }
        open(address.shard)
        try writeReserving(leaves)
    }

    /// Saves all files of the blob, so that what was written survives a power loss.
    ///
    /// Nothing wrong is ever read without it; a publication calls it before it is registered.
    package func flush() throws(PetalsError) {
        for shard in state.withLock({ $0.known }).sorted() {
            for kind in [FileTable.Kind.data, .tree] { try file(shard, kind)?.sync() }
        }
        try Disk.syncFolder(folder)
    }

    /// What to do with leaves under the stripe's lock.
    private enum Plan: Sendable {
        case nothing
        case store(isFirst: Bool, isInPlace: Bool, ShardClass)
    }

    /// Asks for room where the cell is new, and stores the leaves.
    private func writeReserving(_ leaves: VerifiedLeaves) throws(PetalsError) {
        let address = leaves.address
        let length = geometry.cellLength(address)
        var hasEvicted = false
        // The cell may come or go between the asking and the storing; then again.
        for _ in 0..<16 {
            let (isNew, shardClass) = state.withLock { state -> (Bool, ShardClass) in
                let mask = state.maps[address.shard]?.masks[address.cell.rawValue] ?? LeafSet.none
                let isStored = !isInPlace(address.shard, state)
                return (mask.isEmpty && isStored, self.shardClass(of: address.shard, state))
            }
            let outcome = try store(leaves, length, reservingFor: isNew ? shardClass : nil)
            switch outcome {
            case .storedFirst, .stored: return
            case .unreserved: continue
            case .failed(let error, _):
                // A few cells more than one: a full disk has other writers, too.
                guard error.code == .noSpace, !hasEvicted, context.evictForDisk(4 * length) else {
                    throw error
                }
                hasEvicted = true
            }
        }
        throw PetalsError(
            .noSpace,
            "\(address) of blob \(id.short) was evicted again and again while it was written; "
                + "raise --cache-size")
    }

    /// Reserves room for a cell of a class, if one is given, and stores leaves of it.
    private func store(
        _ leaves: VerifiedLeaves, _ length: Int, reservingFor reserved: ShardClass?
    ) throws(PetalsError) -> Outcome {
        if let reserved { try context.reserve(length, for: reserved) }
        var isFreed = true
        var isUsed = false
        defer {
            if let reserved, !isUsed {
                context.ledger.withLock { $0.cancel(length, for: reserved, isFreed: isFreed) }
            }
        }
        let outcome = try stripe(of: leaves.address).hold { () throws(PetalsError) -> Outcome in
            try store(leaves, reservedFor: reserved)
        }
        if case .storedFirst = outcome { isUsed = true }
        if case .failed(_, let isTakenBack) = outcome { isFreed = isTakenBack }
        return outcome
    }

    private enum Outcome: Sendable {
        /// The cell's first leaves: the reservation is used.
        case storedFirst
        /// Nothing had to be reserved.
        case stored
        /// The cell went away meanwhile, or is kept for another reason now: something else has to
        /// be reserved.
        case unreserved
        /// The leaves could not be written; the flag says whether the disk has taken back what was
        /// written of a new cell.
        case failed(PetalsError, isFreed: Bool)
    }

    /// Stores leaves; the caller holds the cell's stripe, so that the shard's class stays as it is.
    private func store(
        _ leaves: VerifiedLeaves, reservedFor reserved: ShardClass?
    ) throws(PetalsError) -> Outcome {
        let address = leaves.address
        let plan = try state.withLock { (state) throws(PetalsError) -> Plan in
            if state.isRemoved { throw removedError }
            guard let map = state.maps[address.shard], let layer = map.layer else {
                throw PetalsError(
                    .corrupt,
                    "the cell hashes of shard \(address.shard) of blob \(id.short) were not kept "
                        + "before its leaves; this is a fault of petalsfs, please report it")
            }
            if leaves.leaves == 0..<geometry.leafCount(address),
                HashTree.root(ofLeafHashes: leaves.leafHashes) != layer.hash(of: address.cell)
            {
                throw foreignError(address)
            }
            let mask = map.masks[address.cell.rawValue]
            if mask.isSuperset(of: LeafSet(leaves.leaves)) { return .nothing }
            return .store(
                isFirst: mask.isEmpty, isInPlace: isInPlace(address.shard, state),
                shardClass(of: address.shard, state))
        }
        guard case .store(let isFirst, let isInPlace, let shardClass) = plan else {
            return .stored
        }
        let takesSpace = isFirst && !isInPlace
        if takesSpace, reserved != shardClass { return .unreserved }
        do throws(PetalsError) {
            try writeFiles(leaves, isInPlace: isInPlace)
        } catch {
            return .failed(error, isFreed: takesSpace ? freeFailedWrite(address) : true)
        }
        count(leaves, takesSpace: takesSpace)
        return takesSpace ? .storedFirst : .stored
    }

    private func writeFiles(_ leaves: VerifiedLeaves, isInPlace: Bool) throws(PetalsError) {
        let address = leaves.address
        let first = leaves.leaves.lowerBound
        if !isInPlace {
            try createFile(address.shard, .data).write(
                leaves.bytes,
                at: dataRange(address).lowerBound + first * Limits.leafBytes)
        }
        let hashes = Digest.packed(leaves.leafHashes)
        try createFile(address.shard, .tree).write(
            hashes, at: leafHashOffset(address, leaf: first))
    }

    /// Takes back what a failed write may have left of a cell that is not counted.
    ///
    /// - Returns: whether the disk has the space back.
    private func freeFailedWrite(_ address: CellAddress) -> Bool {
        do throws(PetalsError) {
            return try free(address)
        } catch {
            // The write's own error is the one to report; opening the shard again cleans up.
            warn("cannot take back \(address) of blob \(id.short): \(error)")
            return false
        }
    }

    /// Takes a cell off the disk: its hashes, then its data.
    ///
    /// - Returns: whether the disk has the space back.
    func free(_ address: CellAddress) throws(PetalsError) -> Bool {
        try zeroLeafHashes(address)
        return try file(address.shard, .data)?.punch(dataRange(address)) ?? true
    }

    /// Enters stored leaves in the map, and looks whether they complete their cell.
    private func count(_ leaves: VerifiedLeaves, takesSpace: Bool) {
        let address = leaves.address
        let all = LeafSet(first: geometry.leafCount(address))
        let checksums = leaves.checksums()
        let mask = state.withLock { state -> LeafSet in
            state.maps[address.shard]?.keep(
                checksums, of: address.cell, from: leaves.leaves.lowerBound)
            let cell = address.cell.rawValue
            let before = state.maps[address.shard]?.masks[cell] ?? LeafSet.none
            let mask = before.union(LeafSet(leaves.leaves))
            state.maps[address.shard]?.masks[cell] = mask
            let shardClass = self.shardClass(of: address.shard, state)
            let written = mask.subtracting(before).count * Limits.leafBytes
            context.ledger.withLock { ledger in
                if takesSpace {
                    ledger.commit(
                        geometry.cellLength(address), key(address), as: shardClass,
                        written: written)
                } else {
                    ledger.write(written, of: key(address))
                }
            }
            return mask
        }
        guard mask == all else { return }
        var hashes = leaves.leafHashes
        if leaves.leaves.count != all.count {
            // Hashes that cannot be read back are wrong ones.
            hashes = (try? readLeafHashes(address)) ?? []
        }
        let root = HashTree.root(ofLeafHashes: hashes)
        let isWhole = state.withLock { state -> Bool in
            guard state.maps[address.shard]?.layer?.hash(of: address.cell) == root else {
                return false
            }
            state.maps[address.shard]?.complete.insert(address.cell)
            return true
        }
        if isWhole {
            noteChange()
        } else {
            forgetHoldingStripe(address)
            warn("\(address) of blob \(id.short) was made of wrong leaves; it is forgotten")
        }
    }

    private func foreignError(_ address: CellAddress) -> PetalsError {
        PetalsError(
            .corrupt,
            "leaves for \(address) are not of blob \(id.short); this is a fault of petalsfs, "
                + "please report it")
    }
}
