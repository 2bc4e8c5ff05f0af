internal import Logging
internal import PetalsCodec
internal import PetalsCore
internal import Synchronization

/// From the tree file to the map in memory.
extension StoredBlob {
    /// Reads a shard's map, once.
    ///
    /// A tree that cannot be read counts as empty, with a line in the log: what it knew is fetched
    /// again.
    func open(_ shard: ShardIndex) {
        if state.withLock({ $0.maps[shard] != nil || $0.isRemoved }) { return }
        do throws(PetalsError) {
            try opening.hold { () throws(PetalsError) in
                guard state.withLock({ $0.maps[shard] == nil && !$0.isRemoved }) else { return }
                var map = ShardMap(cellCount: geometry.cellCount(of: shard))
                do throws(PetalsError) {
                    map = try readMap(shard)
                } catch {
                    warn("the map of shard \(shard) of blob \(id.short) is lost: \(error)")
                }
                install(map, shard)
            }
        } catch {
            // Nothing in the closure throws; the type does not know.
            warn("\(error)")
        }
    }

    /// Enters a shard's map, and its cells in the accounts.
    ///
    /// Cells that the limit has no room for are let go; nobody has seen them yet.
    func install(_ found: ShardMap, _ shard: ShardIndex) {
        var map = found
        let (shardClass, isStored) = state.withLock { state in
            (self.shardClass(of: shard, state), !isInPlace(shard, state))
        }
        var surplus = 0
        for (cell, mask) in found.masks.enumerated() where isStored && !mask.isEmpty {
            let address = CellAddress(shard: shard, cell: CellIndex(cell))
            let length = geometry.cellLength(address)
            let fits = context.ledger.withLock {
                $0.admit(length, key(address), as: shardClass)
            }
            if fits { continue }
            map.masks[cell] = .none
            map.complete.remove(address.cell)
            surplus += 1
            do throws(PetalsError) {
                _ = try free(address)
            } catch {
                // The next start finds it again.
                warn("cannot free \(address) of blob \(id.short): \(error)")
            }
        }
        if surplus > 0 {
            context.logger.info(
                """
                of shard \(shard) of blob \(id.short), \(counted(surplus, "cell")) more than the \
                cache may have: let go
                """)
        }
        let entered = map
        state.withLock { $0.maps[shard] = entered }
    }

    func readMap(_ shard: ShardIndex) throws(PetalsError) -> ShardMap {
        let cellCount = geometry.cellCount(of: shard)
        var map = ShardMap(cellCount: cellCount)
        guard let tree = try file(shard, .tree) else { return map }
        let bytes = try tree.read(count: treeLength(shard), at: 0)
        let leafCount = geometry.leafCount(of: shard)
        map.layer = CellLayer(
            shard: shard, cellHashes: digests(bytes, from: leafCount, count: cellCount),
            geometry: geometry, root: descriptor.shardRoots[shard.rawValue])
        var stray: [CellAddress] = []
        for cell in 0..<cellCount {
            let address = CellAddress(shard: shard, cell: CellIndex(cell))
            let hashes = digests(
                bytes, from: cell * Limits.leavesPerCell, count: geometry.leafCount(address))
            if hashes.allSatisfy({ $0 == .zero }) { continue }
            if let expected = map.layer?.hash(of: address.cell), !hashes.contains(.zero),
                HashTree.root(ofLeafHashes: hashes) == expected
            {
                map.masks[cell] = LeafSet(first: hashes.count)
                map.complete.insert(address.cell)
            } else {
                stray.append(address)
            }
        }
        for address in stray { try zeroLeafHashes(address) }
        try freeStrayData(shard, map)
        return map
    }

    /// Writes over a cell's leaf hashes: on the disk it is not there any more.
    func zeroLeafHashes(_ address: CellAddress) throws(PetalsError) {
        guard let tree = try file(address.shard, .tree) else { return }
        let range = leafHashRange(address)
        try tree.write(
            [UInt8](repeating: 0, count: range.count), at: range.lowerBound)
    }

    /// Gives back what a crash left in the data file of cells that the map does not know.
    private func freeStrayData(_ shard: ShardIndex, _ map: ShardMap) throws(PetalsError) {
        guard let data = try file(shard, .data) else { return }
        if state.withLock({ isInPlace(shard, $0) }) { return }
        let length = geometry.shardLength(shard)
        if try data.readStamp().size != length { try data.setLength(length) }
        let addresses = map.masks.indices.map { CellAddress(shard: shard, cell: CellIndex($0)) }
        let known = addresses.filter { map.complete.contains($0.cell) }
            .reduce(0) { $0 + geometry.cellLength($1) }
        guard try data.readAllocated() > known else { return }
        var start = 0
        for address in addresses {
            let range = dataRange(address)
            guard map.complete.contains(address.cell) else { continue }
            try data.punch(start..<range.lowerBound)
            start = range.upperBound
        }
        try data.punch(start..<length)
    }
}
