internal import Logging
internal import PetalsCore
internal import PetalsStore
internal import ShardFetch
internal import Synchronization

/// The cache, by hand: prefetch, pin, unpin, evict.
extension NodeService {
    /// Fetches a model into the cache.
    ///
    /// - Parameter wait: whether to return when all of it is here, and to fail where it does not
    ///   come; else it goes on in the background.
    func prefetch(
        _ name: String, wait: Bool, notes: WaitNotes
    ) async throws(PetalsError) -> ControlResult {
        let node = try runningNode(for: name)
        let id = try library.entry(name).row.manifestID
        return try await notes.during(name, id, node) { () async throws(PetalsError) in
            try await prefetch(name, wait: wait, with: node) {
                notes.update(done: $0, total: $1)
            }
        }
    }

    private func prefetch(
        _ name: String, wait: Bool, with node: Node,
        progress: @escaping @Sendable (Int, Int) -> Void
    ) async throws(PetalsError) -> ControlResult {
        let entry = wait ? try await arrived(name, node) : try library.entry(name)
        if let refusal = library.refusal(of: entry.row) { throw refusal }
        guard entry.manifest != nil else {
            let reason =
                entry.isPending
                ? "the manifest of “\(name)” has not arrived yet; check that a peer has the model"
                : "“\(name)” is held for others and cannot be read here; add its link first"
            throw PetalsError(.unavailable, reason)
        }
        let readers = entry.records.map { node.reader(for: $0) }
        let total = readers.reduce(0) { $0 + $1.record.frames.storedLength }
        if let limit = store.usage().limit, total > limit, entry.row.origin != .published,
            !entry.isPinned
        {
            throw PetalsError(
                .noSpace,
                "“\(name)” has \(ByteCount(total)) and the cache may have \(ByteCount(limit)); "
                    + "raise --cache-size, or pin the model")
        }
        let done = Atomic<Int>(readers.reduce(0) { $0 + $1.cachedBytes })
        let fetch = Task { () -> PetalsError? in
            do throws(PetalsError) {
                for reader in readers {
                    try await reader.prefetch {
                        progress(done.wrappingAdd($0, ordering: .relaxed).newValue, total)
                    }
                }
                return nil
            } catch {
                return error
            }
        }
        guard wait else {
            let logger = logger
            Task {
                guard let error = await fetch.value else { return }
                logger.warning("“\(name)” was not fetched whole: \(error.message)")
            }
            return .done
        }
        let failure = await withTaskCancellationHandler {
            await fetch.value
        } onCancel: {
            fetch.cancel()
        }
        if let failure { throw failure }
        try await requireRight(name)
        return .done
    }

    /// Fetches the data shards of a model and keeps them until it is unpinned.
    ///
    /// The pin comes first, so that nothing that was fetched is evicted again; interrupted, it
    /// stays, and pinning again fetches the rest.
    func pin(_ name: String, notes: WaitNotes) async throws(PetalsError) -> KeptModel {
        let node = try runningNode(for: name)
        let id = try library.entry(name).row.manifestID
        return try await notes.during(name, id, node) { () async throws(PetalsError) in
            try await pin(name, with: node) { notes.update(done: $0, total: $1) }
        }
    }

    private func pin(
        _ name: String, with node: Node, progress: @escaping @Sendable (Int, Int) -> Void
    ) async throws(PetalsError) -> KeptModel {
        let entry = try await arrived(name, node)
        if let refusal = library.refusal(of: entry.row) { throw refusal }
        guard entry.row.origin != .held else {
            throw PetalsError(
                .badInput, "“\(name)” is held, which keeps it already; there is nothing to pin")
        }
        // Whoever pins a model wants it whatever becomes of the catalogue that listed it.
        try store.registry.makeOwn([name])
        try store.pin(model: name)
        try library.reload()
        var work: [(session: BlobSession, shards: [ShardIndex])] = []
        for grant in entry.grants {
            let session = try await node.open(grant.blobID, relayKey: grant.relayKey)
            let shards = session.geometry.streamShards
            let cached = shards.filter { session.stored.shardClass(of: $0) == .cached }
            try store.setClass(.pinned, of: cached, blob: grant.blobID)
            work.append((session, shards))
        }
        let total = work.reduce(0) { sum, item in
            sum + item.shards.reduce(0) { $0 + item.session.geometry.shardLength($1) }
        }
        let here = work.reduce(0) { $0 + Self.bytes(of: $1.session.stored, $1.shards) }
        try checkRoom(for: total - here, name)
        try await fetchWhole(work, with: node) { progress(here + $0, total) }
        try await requireRight(name)
        return kept(try library.entry(name))
    }

    /// Lets a model be evicted again.
    func unpin(_ name: String) throws(PetalsError) -> KeptModel {
        try store.unpin(model: name)
        try library.reload()
        return kept(try library.entry(name))
    }

    /// Takes a model out of the cache.
    func evict(
        _ name: String, progress: @escaping @Sendable (Int, Int) -> Void
    ) async throws(PetalsError) -> EvictedModel {
        let blobs = try library.entry(name).grants.map(\.blobID)
        let store = store
        let total = store.usage().cached
        let gone = try await onThread { () throws(PetalsError) in
            var done = 0
            return store.evictCached(of: blobs) {
                done += $0
                progress(min(done, total), total)
            }
        }
        // After the disk: what was read in between is in memory as well.
        node?.releaseMemory(of: blobs)
        return EvictedModel(name: name, cells: gone.cells, bytes: gone.bytes)
    }

    // MARK: Helpers

    /// Fetches whole shards, blob after blob, and saves each blob when it is here.
    ///
    /// - Parameters:
    ///   - isForOthers: whether they are held for others, and not to be read here.
    ///   - progress: called with the number of bytes that came so far.
    func fetchWhole(
        _ work: [(session: BlobSession, shards: [ShardIndex])], with node: Node,
        isForOthers: Bool = false, progress: @escaping @Sendable (Int) -> Void
    ) async throws(PetalsError) {
        let done = Atomic<Int>(0)
        let note: @Sendable (Int) -> Void = {
            progress(done.wrappingAdd($0, ordering: .relaxed).newValue)
        }
        for (session, shards) in work {
            if isForOthers {
                try await node.fetchCopies(session, shards: shards, progress: note)
            } else {
                try await node.fetchWhole(session, shards: shards, progress: note)
            }
            try session.stored.flush()
        }
    }

    private func runningNode(for name: String) throws(PetalsError) -> Node {
        guard let node else {
            throw PetalsError(.unavailable, "no node runs to fetch “\(name)” with")
        }
        return node
    }

    /// The model of a name; waits for its manifest where there is somebody to wait for.
    private func arrived(
        _ name: String, _ node: Node
    ) async throws(PetalsError) -> ModelLibrary.Entry {
        let entry = try library.entry(name)
        guard entry.isPending, !node.canFindPeers, node.peerCount == 0 else {
            await library.fetchListed(name, with: node)
            return try await library.arrived(name)
        }
        throw PetalsError(
            .unavailable,
            "the manifest of “\(name)” has not arrived and no peer is known; name one with "
                + "--peer, or look in the local network without --no-lan")
    }

    /// Says at once what would else be found after hours of fetching.
    private func checkRoom(for bytes: Int, _ name: String) throws(PetalsError) {
        let free = try store.readDiskSpace().free
        guard bytes > free + store.usage().cached else { return }
        throw PetalsError(
            .noSpace,
            "“\(name)” needs another \(ByteCount(bytes)) and the disk of \(folder.path) has "
                + "\(ByteCount(free)) free; free some space there, or unpin a model")
    }

    /// What is pinned of a model.
    private func kept(_ entry: ModelLibrary.Entry) -> KeptModel {
        var kept = KeptModel(name: entry.row.name, pinned: entry.isPinned, shards: 0, bytes: 0)
        for grant in entry.grants {
            guard let blob = store.blob(grant.blobID) else { continue }
            let pinned = blob.geometry.streamShards
                .filter { blob.shardClass(of: $0) == .pinned }
            kept.shards += pinned.count
            kept.bytes += Self.bytes(of: blob, pinned)
        }
        return kept
    }

    /// Bytes of the complete cells of shards.
    static func bytes(of blob: StoredBlob, _ shards: [ShardIndex]) -> Int {
        shards.reduce(0) { sum, shard in
            let length = blob.holdings(of: shard).count * Limits.cellBytes
            return sum + min(length, blob.geometry.shardLength(shard))
        }
    }
}
