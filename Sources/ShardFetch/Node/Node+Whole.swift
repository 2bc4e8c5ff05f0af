internal import PetalsCodec
package import PetalsCore
internal import PetalsStore
internal import Synchronization

extension Node {
    /// Cells wanted at a time by work that nobody waits for: 64 MiB, three times what may be
    /// under way.
    package static let wholeCellsAtOnce = 256

    /// Looks, 20 ms apart, after which cells that came and went are asked for again.
    static let looksBeforeAsking = 50

    private static var noRoomError: PetalsError {
        PetalsError(
            .noSpace,
            "the store is too small for what was asked: cells were evicted as fast as they came; "
                + "raise --cache-size")
    }

    /// Fetches whole shards of a blob to hold them for others: what is free where nobody pays for
    /// any of it here, and comes where nobody else wants anything.
    ///
    /// - Throws: as `fetchWhole`.
    package func fetchCopies(
        _ session: BlobSession, shards: [ShardIndex], progress: @Sendable (Int) -> Void
    ) async throws(PetalsError) {
        session.beginCopying(shards)
        defer { session.endCopying(shards) }
        try await fetchWhole(session, shards: shards, progress: progress)
    }

    /// Fetches whole shards of a blob, and the trees of all shards of their groups, so that this
    /// node can vouch for what others rebuild.
    ///
    /// The rarest cells first (`WholeOrder`), so that many who begin at once have something to give
    /// each other.
    ///
    /// - Parameters:
    ///   - cellsAtOnce: how many cells are wanted at a time.
    ///   - progress: called with the number of bytes that came since the last call.
    /// - Throws: `PetalsError.cancelled`; `.noSpace` or `.system` where the disk does not take it.
    package func fetchWhole(
        _ session: BlobSession, shards: [ShardIndex], cellsAtOnce: Int = Node.wholeCellsAtOnce,
        progress: @Sendable (Int) -> Void
    ) async throws(PetalsError) {
        let geometry = session.geometry
        engine.joinEverywhere(session)
        session.writeFailure.withLock { $0 = nil }
        let cells = shards.filter(geometry.contains).flatMap { shard in
            (0..<geometry.cellCount(of: shard)).map {
                CellAddress(shard: shard, cell: CellIndex($0))
            }
        }
        var generator = SystemRandomNumberGenerator()
        var order = WholeOrder(cells.filter { !isWhole($0, session) }, using: &generator)
        var missing: Set<CellAddress> = []
        var looks = 0
        while order.count > 0 || !missing.isEmpty {
            if order.count > 0, missing.count <= cellsAtOnce / 2 {
                let next = engine.takeRarest(
                    max(1, cellsAtOnce - missing.count), of: &order, session
                ).filter { !isWhole($0, session) }
                missing.formUnion(next)
                engine.wantBulk(session, next)
                looks = 0
            }
            looks += 1
            if looks % Self.looksBeforeAsking == 0 {
                guard looks <= 60 * Self.looksBeforeAsking || engine.isWanted(missing, session)
                else { throw Self.noRoomError }
                engine.restore(session, missing)
            }
            do {
                try await Task.sleep(for: .milliseconds(20))
            } catch {
                throw PetalsError(.cancelled, "fetching was interrupted")
            }
            // What was asked for was to have it on the disk.
            if let failure = session.writeFailure.withLock({ $0 }) { throw failure }
            let came = missing.filter { isWhole($0, session) }
            missing.subtract(came)
            if !came.isEmpty {
                progress(came.reduce(0) { $0 + geometry.cellLength($1) })
            }
        }
        await fetchLayers(session, groups: Set(shards.map(geometry.group(of:))))
    }

    /// Whether a cell is on the disk.
    private func isWhole(_ address: CellAddress, _ session: BlobSession) -> Bool {
        session.stored.holdings(of: address.shard).contains(address.cell)
    }

    /// Fetches the trees of all shards of some groups; waits as long as somebody may have them.
    private func fetchLayers(_ session: BlobSession, groups: Set<Int>) async {
        let geometry = session.geometry
        let shards = groups.flatMap { group in
            (0..<geometry.groupShards).map { ShardIndex(group * geometry.groupShards + $0) }
        }
        // Ten seconds: whoever had the cells has the trees, and what is missing is asked again when
        // it is needed.
        for _ in 0..<100 {
            let missing = shards.filter { session.stored.layer(of: $0) == nil }
            if missing.isEmpty { return }
            engine.wantLayers(session, missing)
            // Cancelled: the trees are not needed for what was asked.
            guard (try? await Task.sleep(for: .milliseconds(100))) != nil else { return }
        }
    }
}

extension FetchEngine {
    /// The session of a blob that is open.
    func openedSession(_ id: BlobID) -> BlobSession? {
        state.withLock { state in state.handles[id].flatMap { state.sessions[$0] } }
    }

    /// Takes the rarest of what is left to fetch, as far as peers have said what they hold.
    func takeRarest(
        _ count: Int, of order: inout WholeOrder, _ session: BlobSession
    ) -> [CellAddress] {
        state.withLock { state in
            order.next(count) { state.scheduler.holderCount(session.key($0)) }
        }
    }

    /// Whether any of these cells is still being fetched.
    func isWanted(_ addresses: Set<CellAddress>, _ session: BlobSession) -> Bool {
        state.withLock { state in
            addresses.contains { state.scheduler.jobs[session.key($0)] != nil }
        }
    }

    /// Stores cells again that are only in memory, and wants those that are not even there.
    func restore(_ session: BlobSession, _ addresses: Set<CellAddress>) {
        for address in addresses where session.stored.present(address).isEmpty {
            let parts = hot.parts(session.key(address))
            let leafCount = session.geometry.leafCount(address)
            if let whole = VerifiedLeaves.joined(parts, leafCount: leafCount) {
                deliver(whole, session: session)
            }
        }
        wantBulk(session, addresses.sorted())
    }

    /// Asks for cell layers that are not here, of whoever holds anything of their group.
    func wantLayers(_ session: BlobSession, _ shards: [ShardIndex]) {
        perform { state in
            for shard in shards {
                state.scheduler.wantLayer(session.key(shard), now: MonotonicClock.now)
            }
        }
    }

    var wantedCells: Int { state.withLock { $0.scheduler.jobCount } }

    /// Bytes that were asked of a second peer because the first one was late.
    var hedgedBytes: Int { state.withLock { $0.scheduler.hedgedBytes } }

    /// What a waiting read lacks and who could have it, for one line of the log.
    func describe(_ ticket: ReadTicket) -> String {
        let missing = ticket.missing
        let connected = connected
        return state.withLock { state in
            guard let key = missing.first?.key, let session = state.sessions[key.blob] else {
                return "nothing is missing any more"
            }
            let geometry = session.geometry
            let row = geometry.row(of: key.address)
            let reachable = (0..<geometry.groupShards).count { column in
                let address = geometry.address(row: row, column: column)
                return state.scheduler.holderCount(session.key(address)) > 0
                    || !session.stored.present(address).isEmpty
            }
            let cells = counted(missing.count, "cell is", "cells are")
            return "\(cells) missing, the first is \(key.address); of \(geometry.dataShards) "
                + "shards that it can be made from \(reachable) can be reached (\(connected)); "
                + "start another holder, or name one with --peer"
        }
    }
}
