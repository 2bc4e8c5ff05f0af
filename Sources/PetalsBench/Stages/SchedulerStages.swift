internal import PetalsCore
internal import ShardFetch

extension Stage {
    private static let peerCount = 8
    private static let cellCount = 256

    /// What deciding costs.
    static let scheduler = [
        Stage(
            "schedule", "256 cells of 8 peers, from wanted to arrived",
            .items("cell", cellCount), counted: 10, run: schedule)
    ]

    /// The same events as `FetchEngine` gives a scheduler, with peers that answer one after the
    /// other, a gigabyte a second together, in virtual time.
    private static func schedule(_ meter: Meter) throws {
        let geometry = try BlobGeometry(
            storedLength: cellCount * Limits.cellBytes, dataShards: 8, groupShards: 12,
            rowsPerGroup: cellCount / 8)
        let blob = FetchScheduler.BlobHandle(1)
        let wanted = geometry.pieces(of: 0..<geometry.storedLength).map {
            FetchScheduler.CellKey(blob: blob, address: $0.address)
        }
        let idle = scheduler(blob, geometry)
        try meter.measure {
            var scheduler = idle
            for key in wanted {
                scheduler.want(key, leaves: wholeCell, urgency: .bulk)
            }
            try require(fetchAll(&scheduler) == cellCount, "some cells did not arrive")
        }
    }

    private static let wholeCell = LeafSet(first: Limits.leavesPerCell)

    /// A scheduler that knows all cell layers, and peers that hold everything.
    private static func scheduler(
        _ blob: FetchScheduler.BlobHandle, _ geometry: BlobGeometry
    ) -> FetchScheduler {
        var scheduler = FetchScheduler()
        scheduler.add(blob, geometry: geometry)
        for number in 1...peerCount {
            let peer = FetchScheduler.Peer(virtual: number)
            scheduler.peerOpened(peer)
            for shard in geometry.shards {
                let key = FetchScheduler.ShardKey(blob, shard)
                scheduler.holdings(
                    peer, key, CellBitmap(cellCount: geometry.cellCount(of: shard), complete: true))
                scheduler.layerArrived(key)
            }
        }
        return scheduler
    }

    /// Answers every request in the order in which they were made.
    ///
    /// - Returns: how many cells arrived.
    private static func fetchAll(_ scheduler: inout FetchScheduler) -> Int {
        var now: Instant = 1
        var asked = scheduler.advance(now: now) { _ in .none }
        var next = 0
        var arrived = 0
        while next < asked.count {
            now += Double(Limits.cellBytes) / 1e9
            if case .request(let id, let peer, let key, _, _) = asked[next],
                scheduler.expectation(id, from: peer) != nil
            {
                scheduler.arrived(id, leaves: wholeCell, now: now)
                scheduler.got(key, wholeCell)
                arrived += 1
                asked += scheduler.advance(now: now) { _ in .none }
            }
            next += 1
        }
        return scheduler.isIdle ? arrived : 0
    }
}
