package import PetalsCore
internal import Synchronization

/// Shards that are held for others because a donor chose them.
extension Store {
    /// Bounds what is held: cells of held shards never have more bytes.
    ///
    /// What is there already stays, though it may be more.
    package func setHeldLimit(_ bytes: Int?) {
        context.ledger.withLock { $0.heldLimit = bytes.map { max(0, $0) } }
    }

    /// Marks a shard as chosen, and held from its first cell on.
    ///
    /// - Throws: `.notFound` when there is no such blob, `.system` from the registry.
    package func donate(_ shard: ShardIndex, blob id: BlobID) throws(PetalsError) {
        guard let blob = blob(id), blob.geometry.contains(shard) else { throw missing(id) }
        try registry.setDonated(true, [shard], blob: id)
        blob.applyClass(.held, of: [shard])
    }

    /// Deletes a shard that was chosen.
    ///
    /// - Throws: as `donate`.
    package func withdraw(_ shard: ShardIndex, blob id: BlobID) throws(PetalsError) {
        guard let blob = blob(id), blob.geometry.contains(shard) else { throw missing(id) }
        // The cells before the mark: what a crash leaves is still known to be a donation.
        blob.empty(shard)
        try registry.setDonated(false, [shard], blob: id)
        blob.applyClass(.cached, of: [shard])
    }

    /// Says that shards are held because a person wants it, whoever chose them first.
    package func keepByHand(_ shards: [ShardIndex], blob id: BlobID) throws(PetalsError) {
        try registry.forgetDonations(shards, blob: id)
    }

    private func missing(_ id: BlobID) -> PetalsError {
        PetalsError(.notFound, "there is no blob \(id.short) in the store; fetch its model first")
    }
}

extension StoredBlob {
    /// The shards that are kept until somebody says otherwise, whether or not all of them is here:
    /// those that were published, held or pinned.
    package func keptShards() -> Set<ShardIndex> {
        state.withLock { state in
            var kept = Set(state.classes.filter { $0.value != .cached }.keys)
            if state.source != nil { kept.formUnion(geometry.streamShards) }
            return kept
        }
    }

    /// Whether every cell of a shard is here.
    package func isWhole(_ shard: ShardIndex) -> Bool {
        geometry.contains(shard) && holdings(of: shard).isComplete
    }

    /// Gives the space of all cells of a shard back.
    ///
    /// Its tree stays, as this node may keep others of its group, for which it vouches.
    fileprivate func empty(_ shard: ShardIndex) {
        for cell in 0..<geometry.cellCount(of: shard) {
            evict(CellAddress(shard: shard, cell: CellIndex(cell)))
        }
    }
}
