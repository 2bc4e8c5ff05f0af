import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

/// What to ask of whom, in situations that were thought of.
///
/// The swarm checks its invariants after every event; these tests say how each story ends.
struct FetchSchedulerTests {
    /// k = 2, n = 4, five rows: ten data cells.
    private func swarm(_ seed: UInt64 = 1, rows: Int = 5, k: Int = 2, n: Int = 4) throws
        -> SchedulerSwarm
    {
        try SchedulerSwarm(
            seed: seed,
            geometry: BlobGeometry(
                storedLength: rows * k * Limits.cellBytes, dataShards: k, groupShards: n,
                rowsPerGroup: 700))
    }

    @Test func aReadFromOneHolder() throws {
        var swarm = try swarm()
        _ = swarm.join(shards: [0, 1, 2, 3])
        swarm.want(swarm.cell(0, 0), LeafSet(3..<5), .demand)
        swarm.run(until: 1)
        swarm.checkEmpty()
        #expect(swarm.requestedLeaves == 2)
        #expect(swarm.rebuilds == 0)
    }

    @Test func leavesWithAGapAreNotAskedTwice() throws {
        var swarm = try swarm()
        _ = swarm.join(shards: [0, 1, 2, 3])
        swarm.want(swarm.cell(0, 0), LeafSet(3..<5), .demand)
        swarm.want(swarm.cell(0, 0), LeafSet(1..<8), .demand)
        swarm.run(until: 1)
        swarm.checkEmpty()
        #expect(swarm.requestedLeaves == 7)
    }

    @Test func aCellWithoutHolderIsRebuiltFromAnyKOfItsRow() throws {
        for holders in [[1, 2], [1, 3], [2, 3], [1, 2, 3]] {
            var swarm = try swarm()
            for shard in holders { _ = swarm.join(shards: [shard]) }
            swarm.want(swarm.cell(0, 2), LeafSet(0..<1), .demand)
            swarm.run(until: 2)
            swarm.checkEmpty()
            #expect(swarm.rebuilds == 1)
            // k cells, and one to spare where there is one.
            #expect(swarm.requestedLeaves == holders.count * 16, "\(holders)")
        }
    }

    @Test func aWholeFileWithOneDataShardGone() throws {
        var swarm = try swarm(rows: 40)
        for shard in [1, 2, 3] { _ = swarm.join(shards: [shard]) }
        swarm.want((0..<80).map { swarm.cell($0 % 2, $0 / 2) }, .bulk)
        swarm.run(until: 60)
        swarm.checkEmpty()
        // Where the other data line is full, its cells come out of the two lines of parity as well.
        #expect((40...80).contains(swarm.rebuilds))
        #expect(swarm.requestedLeaves == 2 * 40 * 16, "two cells of each row are enough")
    }

    /// The slowest of the columns that were asked for is not waited for.
    @Test(arguments: 1...5) func theFirstKColumnsAreTaken(slow: Int) throws {
        var swarm = try swarm(k: 4, n: 8)
        for shard in 1...5 {
            _ = swarm.join(latency: shard == slow ? 5 : 0.01, shards: [shard])
        }
        swarm.want(swarm.cell(0, 0), LeafSet(0..<1), .demand)
        // Sooner than anybody would be found late.
        swarm.run(until: 0.1)
        #expect(swarm.rebuilds == 1)
        // What is not needed any more is not under way either; a tree that was asked for may come.
        #expect(swarm.scheduler.requests.isEmpty && swarm.scheduler.isIdle)
        swarm.run(until: 10)
        swarm.checkEmpty()
    }

    /// Where a slow peer has to be among them, two columns more are asked for: one may fail too.
    @Test func unlikePeersAreAskedForTwoColumnsMore() throws {
        var swarm = try swarm(rows: 40, k: 4, n: 8)
        let peers = (1...7).map { shard in
            let latency = shard < 4 ? 0.01 : 0.3 + Double(shard) / 100
            return swarm.join(latency: latency, rate: 20e6, shards: [shard])
        }
        // Gets to know them.
        for row in 0..<10 {
            for shard in 1...7 { swarm.want(swarm.cell(shard, row), LeafSet(first: 16), .demand) }
            swarm.run(until: Double(row + 1) * 5)
        }
        swarm.peers[peers[3]]?.manner = .silent
        swarm.peers[peers[4]]?.manner = .silent
        swarm.want(swarm.cell(0, 20), LeafSet(0..<1), .demand)
        // The sixth answers after 0.36 seconds; to find the fourth late would take as long again.
        swarm.run(until: 50.5)
        let state = swarm.describe(swarm.cell(0, 20))
        #expect(swarm.wanted.isEmpty, "\(state)")
    }

    /// Whoever turns away from a cell turns away from what would rebuild it.
    @Test func aRepairThatIsNotWantedAnyMoreIsCancelled() throws {
        var swarm = try swarm(k: 3, n: 6)
        for shard in 1...5 { _ = swarm.join(latency: 1, shards: [shard]) }
        swarm.want(swarm.cell(0, 0), LeafSet(first: 16), .bulk)
        swarm.want(swarm.cell(1, 0), LeafSet(first: 16), .bulk)
        #expect(swarm.scheduler.requests.count == 3)
        swarm.wanted[swarm.cell(0, 0)] = nil
        swarm.scheduler.unwantBulk(swarm.cell(0, 0))
        swarm.run(until: 0.5)
        // What somebody else wants goes on.
        #expect(swarm.scheduler.requests.count == 1)
        swarm.run(until: 10)
        swarm.checkEmpty()
        #expect(swarm.rebuilds == 0)
    }

    /// A holder of the cell itself comes back while it is being rebuilt.
    @Test func aRepairThatIsNotNeededAnyMoreIsCancelled() throws {
        var swarm = try swarm(k: 3, n: 6)
        for shard in 1...5 { _ = swarm.join(latency: 5, shards: [shard]) }
        swarm.want(swarm.cell(0, 0), LeafSet(0..<1), .demand)
        swarm.keepFromElsewhere(swarm.cell(0, 0))
        #expect(swarm.scheduler.requests.isEmpty && swarm.scheduler.isIdle)
        swarm.run(until: 20)
        swarm.checkEmpty()
    }

    /// However many cells are rebuilt, what is asked for to spare stays within its budget.
    @Test(arguments: [FetchScheduler.Urgency.demand, .bulk])
    func sparesStayWithinTheBudget(_ urgency: FetchScheduler.Urgency) throws {
        var swarm = try swarm(rows: 100, k: 4, n: 8)
        for shard in 1...7 { _ = swarm.join(shards: [shard]) }
        for row in 0..<100 { swarm.want(swarm.cell(0, row), LeafSet(0..<1), urgency) }
        swarm.run(until: 60)
        swarm.checkEmpty()
        #expect(swarm.rebuilds == 100)
        let needed = 100 * 4 * Limits.cellBytes
        let extra = swarm.requestedLeaves * Limits.leafBytes - needed
        if urgency == .bulk { #expect(extra == 0) }
        let budget =
            Double(FetchScheduler.hedgeBytesStart)
            + FetchScheduler.hedgeShare * Double(swarm.scheduler.deliveredBytes)
        #expect(Double(extra) <= budget)
        if urgency == .demand { #expect(extra > 0) }
    }

    @Test func tooFewColumnsWaitUntilAHolderReturns() throws {
        var swarm = try swarm()
        _ = swarm.join(shards: [1])
        swarm.want(swarm.cell(0, 0), LeafSet(0..<1), .demand)
        swarm.run(until: 100)
        #expect(!swarm.wanted.isEmpty)
        #expect(swarm.scheduler.stuckKeys.contains(swarm.cell(0, 0)))
        _ = swarm.join(shards: [3])
        swarm.run(until: 102)
        swarm.checkEmpty()
    }

    @Test func repairPicksOtherColumnsWhenItsHelpersVanish() throws {
        var swarm = try swarm(k: 3, n: 6)
        let helpers = [1, 2, 3].map { swarm.join(latency: 0.001, shards: [$0]) }
        for shard in [4, 5] { _ = swarm.join(latency: 0.5, shards: [shard]) }
        swarm.want(swarm.cell(0, 0), LeafSet(0..<1), .demand)
        swarm.leave(helpers[0])
        swarm.leave(helpers[1])
        swarm.run(until: 20)
        swarm.checkEmpty()
        #expect(swarm.rebuilds == 1)
    }

    /// More cells than the silent peer's window takes: none of them may wait for room there.
    @Test(arguments: [FetchScheduler.Urgency.demand, .bulk])
    func aPeerThatNeverAnswersHoldsNothingUp(_ urgency: FetchScheduler.Urgency) throws {
        var swarm = try swarm(rows: 30)
        let silent = swarm.join(.silent, shards: [0])
        for shard in [1, 2, 3] { _ = swarm.join(shards: [shard]) }
        for row in 0..<30 { swarm.want(swarm.cell(0, row), LeafSet(first: 16), urgency) }
        swarm.run(until: 120)
        #expect(swarm.wanted.isEmpty)
        swarm.leave(silent)
        swarm.run(until: 121)
        swarm.checkEmpty()
    }

    @Test(arguments: [0.2, 1.5, 4.0])
    func aSlowHolderIsBetterThanNone(_ latency: Double) throws {
        var swarm = try swarm()
        _ = swarm.join(latency: latency, rate: 1e6, shards: [0, 1, 2, 3])
        for row in 0..<5 {
            for shard in 0..<2 { swarm.want(swarm.cell(shard, row), LeafSet(first: 16), .demand) }
        }
        swarm.run(until: 300)
        swarm.checkEmpty()
    }

    @Test(arguments: ControlMessage.Refusal.allCases)
    func aHolderThatRefusesForAWhileIsAskedAgain(_ reason: ControlMessage.Refusal) throws {
        var swarm = try swarm()
        let peer = swarm.join(.refusing(reason), shards: [0])
        swarm.want(swarm.cell(0, 0), LeafSet(first: 16), .demand)
        swarm.run(until: 12)
        #expect(!swarm.wanted.isEmpty)
        // Twice a second at the most, the layer and the leaves.
        #expect(swarm.requestedLeaves <= 16 * 30, "it is not asked in a loop")
        swarm.peers[peer]?.manner = .honest
        swarm.run(until: 30)
        swarm.checkEmpty()
    }

    @Test func manyRefusersAreNotAskedInALoop() throws {
        var swarm = try swarm()
        for _ in 0..<3 {
            for shard in 0..<4 {
                _ = swarm.join(.refusing(.notHeld), latency: 0.001, shards: [shard])
            }
        }
        for row in 0..<5 { swarm.want(swarm.cell(0, row), LeafSet(first: 16), .demand) }
        swarm.run(until: 60)
        // Twelve peers, twenty cells, once in five seconds each.
        #expect(swarm.requestedLeaves <= 16 * 3 * 20 * 13)
        _ = swarm.join(shards: [0])
        swarm.run(until: 70)
        #expect(swarm.wanted.isEmpty)
    }

    @Test func leavesThatComeTwiceCountOnce() throws {
        var swarm = try swarm()
        let peer = swarm.join(.silent, shards: [0])
        swarm.want(swarm.cell(0, 0), LeafSet(first: 16), .bulk)
        let request = try #require(swarm.scheduler.requests.keys.first)
        for _ in 0..<3 { swarm.scheduler.arrived(request, leaves: LeafSet(0..<4), now: 1) }
        #expect(swarm.scheduler.bulkBytes == 12 * Limits.leafBytes)
        #expect(swarm.scheduler.peers[peer]?.outstandingBytes == 12 * Limits.leafBytes)
        #expect(swarm.scheduler.deliveredBytes == 4 * Limits.leafBytes)
    }

    @Test func readsGoBeforeReadAhead() throws {
        var swarm = try swarm(rows: 200)
        _ = swarm.join(latency: 0.01, rate: 20e6, shards: [0, 1, 2, 3])
        for row in 0..<200 { swarm.want(swarm.cell(0, row), LeafSet(first: 16), .bulk) }
        let waiting = swarm.wanted.count
        swarm.want(swarm.cell(1, 199), LeafSet(first: 16), .demand)
        // Asked at once: there is room for a read beside the read-ahead.
        let asked = swarm.asked.values.contains { $0.key == swarm.cell(1, 199) }
        #expect(asked && waiting == 200)
        swarm.run(until: 60)
        swarm.checkEmpty()
    }

    @Test func readAheadThatBecomesARead() throws {
        var swarm = try swarm(rows: 100)
        _ = swarm.join(latency: 0.01, rate: 5e6, shards: [0, 1, 2, 3])
        for row in 0..<100 { swarm.want(swarm.cell(0, row), LeafSet(first: 16), .bulk) }
        swarm.want(swarm.cell(0, 99), LeafSet(0..<2), .demand)
        swarm.run(until: 1)
        #expect(swarm.wanted[swarm.cell(0, 99)] == nil)
        #expect(!swarm.wanted.isEmpty)
    }

    @Test func readAheadThatNobodyWantsAnyMoreIsForgotten() throws {
        var swarm = try swarm()
        swarm.want(swarm.cell(0, 0), LeafSet(first: 16), .bulk)
        swarm.scheduler.unwantBulk(swarm.cell(0, 0))
        swarm.wanted = [:]
        swarm.run(until: 1)
        swarm.checkEmpty()
    }

    /// Nobody is connected, and the disk has what it takes.
    @Test func aCellIsRebuiltFromTheDiskAlone() throws {
        var swarm = try swarm()
        let helper = swarm.join(shards: [2, 3])
        swarm.want([swarm.cell(2, 0), swarm.cell(3, 0)], .bulk)
        swarm.scheduler.layerArrived(.init(blob: swarm.blob, shard: ShardIndex(0)))
        swarm.layers.insert(.init(blob: swarm.blob, shard: ShardIndex(0)))
        swarm.run(until: 1)
        swarm.leave(helper)
        swarm.want(swarm.cell(0, 0), LeafSet(first: 16), .bulk)
        swarm.run(until: 2)
        swarm.checkEmpty()
    }

    /// A blob with parity that does not belong to its data: tried again at times, not in a loop.
    @Test func falseParityIsNotRebuiltInALoop() throws {
        var swarm = try swarm()
        swarm.parityIsFalse = true
        for shard in [2, 3] { _ = swarm.join(shards: [shard]) }
        swarm.want(swarm.cell(0, 0), LeafSet(first: 16), .demand)
        swarm.run(until: 60)
        #expect(swarm.rebuilds >= 1 && swarm.rebuilds <= 61, "\(swarm.rebuilds)")
        _ = swarm.join(shards: [0])
        swarm.run(until: 63)
        swarm.checkEmpty()
    }

    @Test func removingABlobLeavesNothing() throws {
        var swarm = try swarm(rows: 30)
        let peers = [0, 1, 2].map { swarm.join(.silent, shards: [$0]) }
        for row in 0..<30 { swarm.want(swarm.cell(3, row), LeafSet(first: 16), .demand) }
        for row in 0..<30 { swarm.want(swarm.cell(0, row), LeafSet(first: 16), .bulk) }
        swarm.scheduler.remove(swarm.blob)
        #expect(swarm.scheduler.requests.isEmpty)
        #expect(swarm.scheduler.layerRequests.isEmpty)
        #expect(swarm.scheduler.isIdle && swarm.scheduler.bulkBytes == 0)
        #expect(peers.allSatisfy { swarm.scheduler.peers[$0]?.outstandingBytes == 0 })
    }

    // MARK: Random swarms

    /// Random peers with random shards that come, go, stall and refuse; then a calm, after which
    /// exactly what can be had was had; then all holders return, and nothing is left to do.
    @Test(arguments: 0..<24 as Range<UInt64>)
    func whatCanBeHadIsHad(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let k = Int.random(in: 1...4, using: &generator)
        let n = k + Int.random(in: 1...4, using: &generator)
        let cells = Int.random(in: 1...40, using: &generator)
        let geometry = try BlobGeometry(
            storedLength: cells * Limits.cellBytes - Int.random(in: 0..<200_000, using: &generator),
            dataShards: k, groupShards: n, rowsPerGroup: Int.random(in: 1...20, using: &generator))
        var swarm = SchedulerSwarm(seed: seed, geometry: geometry)
        swarm.verifySeconds = Double.random(in: 0...0.02, using: &generator)
        for _ in 0..<40 {
            step(&swarm, &generator)
            swarm.run(until: swarm.now + Double.random(in: 0...0.4, using: &generator))
        }
        swarm.run(until: swarm.now + 200)
        for key in swarm.wanted.keys {
            #expect(
                !swarm.canBeHad(key), "seed \(seed): can be had and was not: \(swarm.describe(key))"
            )
        }
        let honest = swarm.join(shards: Array(0..<geometry.shardCount))
        swarm.run(until: swarm.now + 60)
        for peer in swarm.peers.keys.sorted() where peer != honest { swarm.leave(peer) }
        swarm.run(until: swarm.now + 5)
        swarm.checkEmpty()
        #expect(swarm.actionsMost <= 1000, "seed \(seed)")
    }

    private func step(_ swarm: inout SchedulerSwarm, _ generator: inout SeededGenerator) {
        let geometry = swarm.geometry
        switch Int.random(in: 0..<10, using: &generator) {
        case 0...2: join(&swarm, &generator)
        case 3:
            if let peer = swarm.peers.keys.sorted().randomElement(using: &generator) {
                swarm.leave(peer)
            }
        case 4:
            let manners: [SchedulerSwarm.Manner] = [
                .honest, .silent, .refusing(.busy), .refusing(.broken),
            ]
            if let peer = swarm.peers.keys.sorted().randomElement(using: &generator) {
                swarm.peers[peer]?.manner = manners.randomElement(using: &generator) ?? .honest
            }
        default:
            let shard = ShardIndex(Int.random(in: 0..<geometry.shardCount, using: &generator))
            let count = geometry.cellCount(of: shard)
            let first = Int.random(in: 0..<count, using: &generator)
            let urgency: FetchScheduler.Urgency = generator.chance(0.5) ? .demand : .bulk
            for cell in first..<min(count, first + 8) {
                let key = swarm.cell(shard.rawValue, cell)
                let low = Int.random(in: 0..<swarm.all(key).count, using: &generator)
                let high = Int.random(in: low..<swarm.all(key).count, using: &generator)
                swarm.want(
                    key, urgency == .bulk ? swarm.all(key) : LeafSet(low..<high + 1), urgency)
            }
        }
    }

    private func join(_ swarm: inout SchedulerSwarm, _ generator: inout SeededGenerator) {
        let geometry = swarm.geometry
        var holds: [ShardIndex: CellBitmap] = [:]
        for index in 0..<geometry.shardCount where generator.chance(0.4) {
            let shard = ShardIndex(index)
            let isComplete = generator.chance(0.7)
            var cells = CellBitmap(cellCount: geometry.cellCount(of: shard), complete: isComplete)
            for cell in 0..<cells.cellCount where generator.chance(0.5) {
                cells.insert(CellIndex(cell))
            }
            holds[shard] = cells
        }
        let manners: [SchedulerSwarm.Manner] = [
            .honest, .honest, .honest, .honest, .silent, .refusing(.notHeld), .refusing(.busy),
        ]
        _ = swarm.join(
            manners.randomElement(using: &generator) ?? .honest,
            latency: Double.random(in: 0.0005...0.3, using: &generator),
            rate: Double.random(in: 0.3e6...100e6, using: &generator), holds: holds)
    }
}
