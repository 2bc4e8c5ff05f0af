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
        var isFreed = false
        do throws(PetalsError) {
            if length > 0 { isFreed = try free(address) } else { try zeroLeafHashes(address) }
        } catch {
            // The map in memory has let go already; the rest is checked at the next start.
            warn("cannot free \(address) of blob \(id.short): \(error)")
        }
        if length > 0 {
            context.ledger.withLock {
                $0.vacate(length, key(address), from: shardClass, isFreed: isFreed)
            }
        }
        noteChange()
        return true
    }

    /// Evicts all cells that are cached; published, held and pinned ones stay.
    ///
    /// The trees stay as well: whoever reads the blob at the moment needs them for what he fetches
    /// again.
    ///
    /// - Parameter progress: called after each cell with its length.
    /// - Returns: how many cells went, and their bytes.
    func evictAllCached(progress: (Int) -> Void) -> (cells: Int, bytes: Int) {
        var gone = (cells: 0, bytes: 0)
        for shard in state.withLock({ $0.known }).sorted() {
            open(shard)
            let masks = state.withLock { state in
                shardClass(of: shard, state) == .cached ? state.maps[shard]?.masks ?? [] : []
            }
            for (cell, mask) in masks.enumerated() where !mask.isEmpty {
                let address = CellAddress(shard: shard, cell: CellIndex(cell))
                guard evictCached(address) else { continue }
                gone.cells += 1
                gone.bytes += geometry.cellLength(address)
                progress(geometry.cellLength(address))
            }
        }
        return gone
    }

    /// Enters the class of shards; the registry knows it already.
    ///
    /// What becomes cached has to fit the limit: other cached cells go first, then cells of the
    /// shard itself.
    func applyClass(_ shardClass: ShardClass, of shards: [ShardIndex]) {
        for shard in shards where geometry.contains(shard) {
            open(shard)
            let stored = state.withLock { storedCells(shard, $0) }
            if shardClass == .cached, self.shardClass(of: shard) != .cached {
                context.makeRoom(stored.reduce(0) { $0 + $1.length })
            }
            do throws(PetalsError) {
                // Nobody may be between asking for room as one class and writing as another.
                try holdingAllStripes { () throws(PetalsError) in
                    while true {
                        let lacking = state.withLock { move(shard, to: shardClass, &$0) }
                        guard lacking > 0 else { return }
                        shrink(shard, by: lacking)
                    }
                }
            } catch {
                // Nothing in the closure throws; the type does not know.
                warn("\(error)")
            }
        }
        // Peers are told what is kept.
        noteChange()
    }

    /// Changes the class of a shard.
    ///
    /// - Returns: 0, or the bytes that are too much for the limit; then nothing is changed.
    private func move(
        _ shard: ShardIndex, to shardClass: ShardClass, _ state: inout State
    ) -> Int {
        let cells = storedCells(shard, state)
        let before = self.shardClass(of: shard, state)
        let entry = state.classes[shard]
        state.classes[shard] = shardClass == .cached ? nil : shardClass
        let after = self.shardClass(of: shard, state)
        guard before != after else { return 0 }
        let lacking = context.ledger.withLock { $0.move(cells, from: before, to: after) }
        if lacking > 0 { state.classes[shard] = entry }
        return lacking
    }

    /// Forgets cells of a shard, the last ones first; the caller holds all stripes.
    private func shrink(_ shard: ShardIndex, by bytes: Int) {
        var rest = bytes
        for cell in state.withLock({ storedCells(shard, $0) }).reversed() where rest > 0 {
            forgetHoldingStripe(cell.key.address)
            rest -= cell.length
        }
    }

    /// The cells of a shard that take space on this disk.
    private func storedCells(
        _ shard: ShardIndex, _ state: borrowing State
    ) -> [(length: Int, key: SpaceLedger.CellKey)] {
        guard let map = state.maps[shard], !isInPlace(shard, state) else { return [] }
        return map.masks.enumerated().compactMap { cell, mask in
            let address = CellAddress(shard: shard, cell: CellIndex(cell))
            return mask.isEmpty ? nil : (geometry.cellLength(address), key(address))
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
                    try emptying([shard]) { () throws(PetalsError) in
                        context.files.forget { [number] in
                            $0.blob == number && $0.shard == Int32(clamping: shard.rawValue)
                                && $0.kind != .source
                        }
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
                let shards = state.withLock { state in
                    state.isRemoved = true
                    return Array(state.maps.keys)
                }
                try emptying(shards) { () throws(PetalsError) in
                    state.withLock { state in
                        state.source = nil
                        state.known = []
                    }
                    try Disk.removeFolder(folder)
                    context.files.forget { [number] in $0.blob == number }
                }
            }
        }
        noteChange()
    }

    /// Forgets all that is known of some shards, their layers too, and deletes their files.
    ///
    /// The accounts let go of the cells last, when the disk has their space. The caller holds all
    /// stripes.
    ///
    /// - Parameter ending: what else has to be deleted.
    func emptying(
        _ shards: [ShardIndex], ending: () throws(PetalsError) -> Void
    ) throws(PetalsError) {
        let gone = shards.map { shard in
            state.withLock { state in
                let cells = storedCells(shard, state)
                if let map = state.maps[shard] {
                    state.maps[shard] = ShardMap(cellCount: map.masks.count)
                    state.maps[shard]?.forgotten = map.forgotten + 1
                    state.known.remove(shard)
                }
                return (cells: cells, shardClass: shardClass(of: shard, state))
            }
        }
        var isFreed = false
        defer {
            context.ledger.withLock { ledger in
                for (cells, shardClass) in gone {
                    for (length, key) in cells {
                        ledger.vacate(length, key, from: shardClass, isFreed: isFreed)
                    }
                }
            }
        }
        for shard in shards {
            // The map first: a data file without one is known to be stray. And emptied before it is
            // deleted: whoever is reading a file keeps it open, and its space with it.
            try Disk.removeFile(path(shard, .tree))
            try file(shard, .data)?.setLength(0)
            try Disk.removeFile(path(shard, .data))
        }
        try ending()
        isFreed = true
    }
}
