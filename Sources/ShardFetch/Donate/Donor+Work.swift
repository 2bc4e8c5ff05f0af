internal import Logging
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

/// When bytes of a shard came last.
private final class Progress: Sendable {
    let at = Mutex(MonotonicClock.now)
}

/// Getting shards, and letting them go.
extension Donor {
    /// Starts to get what waits, as far as there is a place for it.
    func startNext() {
        while true {
            let started = state.withLock { state -> Bool in
                guard state.work.count < Self.worksMax, !state.waiting.isEmpty else { return false }
                let (shard, way) = state.waiting.removeFirst()
                guard state.sessions[shard.blob] != nil else { return true }
                state.work[shard] = Task { [weak self] in await self?.get(shard, way) }
                return true
            }
            guard started else { return }
        }
    }

    /// Gets a shard and tells the plan what came of it.
    private func get(_ shard: DonationPlan.Shard, _ way: DonationPlan.Way) async {
        guard let session = session(of: shard) else { return }
        logger.info(
            """
            donating: \(way == .fetch ? "fetches" : "rebuilds") shard \(shard.index) of blob \
            \(session.id.short)
            """)
        let isHere = await fetch(shard.index, of: session, way)
        // Cancelled: whoever did that has told the plan.
        guard !Task.isCancelled else { return }
        if !isHere { await delete(shard.index, of: session) }
        state.withLock { state in
            state.work[shard] = nil
            let now = MonotonicClock.now
            if isHere {
                state.plan.took(shard, way, now: now)
            } else {
                state.plan.failed(shard, now: now)
            }
        }
        startNext()
    }

    /// Fetches or rebuilds a shard; false where that is given up.
    private func fetch(
        _ shard: ShardIndex, of session: BlobSession, _ way: DonationPlan.Way
    ) async -> Bool {
        session.rebuilds.wrappingAdd(1, ordering: .relaxed)
        session.beginCopying([shard])
        defer {
            session.endCopying([shard])
            session.rebuilds.wrappingSubtract(1, ordering: .relaxed)
        }
        let progress = Progress()
        let cells = cellsAtOnce(session, way)
        let isFetched = await withTaskGroup(of: Bool?.self) { group in
            group.addTask { [self] in
                do throws(PetalsError) {
                    try await node.fetchWhole(session, shards: [shard], cellsAtOnce: cells) { _ in
                        progress.at.withLock { $0 = MonotonicClock.now }
                    }
                    return true
                } catch {
                    if error.code != .cancelled { logger.warning("donating: \(error.message)") }
                    return false
                }
            }
            group.addTask {
                // Cancelled: the shard is here, or the node stops.
                while (try? await Task.sleep(for: .seconds(1))) != nil {
                    let quiet = MonotonicClock.now - progress.at.withLock { $0 }
                    if quiet >= Self.stallSeconds { return false }
                }
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first == true
        }
        guard isFetched, session.stored.isWhole(shard) else { return false }
        return await onPool { () throws(PetalsError) in try session.stored.flush() }
    }

    /// How many cells are wanted at a time.
    ///
    /// The k cells that a rebuilt one is made of lie in memory until all have come: those of all
    /// rows under way take half of what may lie there.
    private func cellsAtOnce(_ session: BlobSession, _ way: DonationPlan.Way) -> Int {
        guard way == .rebuild else { return 64 }
        let row = (session.geometry.dataShards + 1) * Limits.cellBytes
        return max(1, node.memory.hotBytes / 2 / row)
    }

    /// Deletes a shard that others keep, or that there is no room for any more.
    func drop(_ shard: DonationPlan.Shard) async {
        guard let session = session(of: shard) else { return }
        logger.info("donating: lets shard \(shard.index) of blob \(session.id.short) go")
        await delete(shard.index, of: session)
    }

    /// Stops getting a shard, and deletes what came of it.
    func abandon(_ shard: DonationPlan.Shard) async {
        let (session, task) = state.withLock { state in
            state.waiting.removeAll { $0.shard == shard }
            return (state.sessions[shard.blob], state.work.removeValue(forKey: shard))
        }
        task?.cancel()
        await task?.value
        guard let session else { return }
        await delete(shard.index, of: session)
        startNext()
    }

    private func delete(_ shard: ShardIndex, of session: BlobSession) async {
        let cells = (0..<session.geometry.cellCount(of: shard)).map {
            CellAddress(shard: shard, cell: CellIndex($0))
        }
        node.engine.unwantBulk(session, cells)
        _ = await onPool { [store] () throws(PetalsError) in
            try store.withdraw(shard, blob: session.id)
        }
    }
}
