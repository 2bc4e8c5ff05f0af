package import PetalsCore
internal import Synchronization

/// Letting go: eviction, damage, changes of class, removal.
extension StoredBlob {
    /// Gives a cell's space back to the disk; it is absent afterwards.
    ///
    /// A cell that is made from the published file takes no space, and stays.
    package func evict(_ address: CellAddress) {
        guard geometry.contains(address) else { return }
        open(address.shard)
        forget(address) { state in !isInPlace(address.shard, state) }
    }

    /// Evicts a cell if it is still cached.
    ///
    /// - Returns: whether it has gone.
    func evictCached(_ address: CellAddress) -> Bool {
        forget(address) { state in shardClass(of: address.shard, state) == .cached }
    }

    /// Forgets a cell that did not match, unless cells were forgotten since it was looked at.
    ///
    /// - Parameter seen: `ShardMap.forgotten` as it was then.
    func forgetDamaged(_ address: CellAddress, seen: Int) -> Bool {
        forget(address) { state in state.maps[address.shard]?.forgotten == seen }
    }

    /// Forgets a cell if a condition holds once nobody writes to it.
    @discardableResult
    private func forget(_ address: CellAddress, if holds: (borrowing State) -> Bool) -> Bool {
        do throws(PetalsError) {
            return try stripe(of: address).hold { () throws(PetalsError) in
                guard state.withLock({ holds($0) }) else { return false }
                return forgetHoldingStripe(address)
            }
        } catch {
            // Nothing in the closure throws; the type does not know.
            return false
        }
    }

    /// Forgets a cell: in memory, then in the tree file, then its data.
    ///
    /// The caller holds its stripe.
    ///
    /// - Returns: whether there was anything of it.
    @discardableResult
    func forgetHoldingStripe(_ address: CellAddress) -> Bool {
        let cell = address.cell.rawValue
        let (length, shardClass) = state.withLock { state -> (Int?, ShardClass) in
            let shardClass = self.shardClass(of: address.shard, state)
            guard let map = state.maps[address.shard], !map.masks[cell].isEmpty else {
                return (nil, shardClass)
            }
            state.maps[address.shard]?.masks[cell] = .none
            state.maps[address.shard]?.complete.remove(address.cell)
            state.maps[address.shard]?.forgotten += 1
            return (spaceTaken(address, state), shardClass)
        }
        guard let length else { return false }
        do throws(PetalsError) {
            try zeroLeafHashes(address)
            if length > 0 { try file(address.shard, .data)?.punch(dataRange(address)) }
        } catch {
            // The map in memory has let go already; the rest is checked at the next start.
            warn("cannot free \(address) of blob \(id.short): \(error)")
        }
        if length > 0 {
            context.ledger.withLock { $0.vacate(length, key(address), from: shardClass) }
        }
        noteChange()
        return true
    }

    /// Enters the class of shards; the registry knows it already.
    func applyClass(_ shardClass: ShardClass, of shards: [ShardIndex]) {
        for shard in shards where geometry.contains(shard) {
            open(shard)
            state.withLock { state in
                let before = self.shardClass(of: shard, state)
                state.classes[shard] = shardClass == .cached ? nil : shardClass
                let after = self.shardClass(of: shard, state)
                guard before != after, let map = state.maps[shard] else { return }
                context.ledger.withLock { ledger in
                    for (cell, mask) in map.masks.enumerated() where !mask.isEmpty {
                        let address = CellAddress(shard: shard, cell: CellIndex(cell))
                        let length = geometry.cellLength(address)
                        ledger.vacate(length, key(address), from: before)
                        ledger.occupy(length, key(address), as: after)
                    }
                }
            }
        }
    }

    /// Deletes the files of all shards that are cached.
    func dropCached() throws(PetalsError) {
        let known = state.withLock { $0.known }.sorted()
        for shard in known where shardClass(of: shard) == .cached {
            open(shard)
            try opening.hold { () throws(PetalsError) in
                try holdingAllStripes { () throws(PetalsError) in
                    guard shardClass(of: shard) == .cached else { return }
                    emptyMap(shard)
                    // The map first: a data file without one is known to be stray.
                    try Disk.removeFile(path(shard, .tree))
                    try Disk.removeFile(path(shard, .data))
                    context.files.forget { [number] in
                        $0.blob == number && $0.shard == Int32(clamping: shard.rawValue)
                            && $0.kind != .source
                    }
                }
            }
        }
        noteChange()
    }

    /// Deletes all files of the blob; it cannot be written any more.
    func remove() throws(PetalsError) {
        try opening.hold { () throws(PetalsError) in
            try holdingAllStripes { () throws(PetalsError) in
                for shard in state.withLock({ Array($0.maps.keys) }) { emptyMap(shard) }
                state.withLock { state in
                    state.isRemoved = true
                    state.source = nil
                    state.known = []
                }
                try Disk.removeFolder(folder)
                context.files.forget { [number] in $0.blob == number }
            }
        }
        noteChange()
    }

    /// Forgets all that is known of a shard, its layer too.
    ///
    /// The caller holds all stripes.
    private func emptyMap(_ shard: ShardIndex) {
        state.withLock { state in
            guard let map = state.maps[shard] else { return }
            let shardClass = self.shardClass(of: shard, state)
            let isStored = !isInPlace(shard, state)
            state.maps[shard] = ShardMap(cellCount: map.masks.count)
            state.maps[shard]?.forgotten = map.forgotten + 1
            state.known.remove(shard)
            guard isStored else { return }
            context.ledger.withLock { ledger in
                for (cell, mask) in map.masks.enumerated() where !mask.isEmpty {
                    let address = CellAddress(shard: shard, cell: CellIndex(cell))
                    ledger.vacate(geometry.cellLength(address), key(address), from: shardClass)
                }
            }
        }
    }
}
