import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

/// One holder among others that are a hundred times faster, and lines that are full.
struct SlowHolderTests {
    /// What a holder of one shard is like.
    struct Line {
        var latency = 0.001
        var rate = 30e6
    }

    /// Seconds until rows of 5 + 3 shards are read in order, and the bytes asked for, with a holder
    /// for each line, of the shard of that number.
    private func read(
        rows: Int = 60, _ lines: [Line], urgency: FetchScheduler.Urgency, windowRows: Int = 8
    ) throws -> (seconds: Double, bytes: Int) {
        var swarm = try SchedulerSwarm(
            seed: 1,
            geometry: BlobGeometry(
                storedLength: rows * 5 * Limits.cellBytes, dataShards: 5, groupShards: 8,
                rowsPerGroup: 700))
        for (shard, line) in lines.enumerated() {
            _ = swarm.join(latency: line.latency, rate: line.rate, shards: [shard])
        }
        // As a reader does: a window of some rows, which moves on when its first row is here.
        var next = 0
        while next < rows || !swarm.wanted.isEmpty {
            while next < rows, swarm.wanted.count < 5 * windowRows {
                swarm.want((0..<5).map { swarm.cell($0, next) }, urgency)
                next += 1
            }
            swarm.run(until: swarm.now + 0.01)
            guard swarm.now < 1_000 else { break }
        }
        #expect(swarm.wanted.isEmpty)
        return (swarm.now, swarm.requestedLeaves * Limits.leafBytes)
    }

    private func read(
        slow: Set<Int>, urgency: FetchScheduler.Urgency
    ) throws -> (seconds: Double, bytes: Int) {
        let lines = (0..<8).map {
            slow.contains($0) ? Line(latency: 0.1, rate: 0.3e6) : Line()
        }
        return try read(lines, urgency: urgency)
    }

    /// Eight lines carry more than the five that data lies on, and a row still costs five cells.
    @Test func linesOfParityCarryTheirPart() throws {
        let far = Line(latency: 0.04, rate: 25e6)
        let rows = 400
        let bytes = rows * 5 * Limits.cellBytes
        let all = try read(
            rows: rows, Array(repeating: far, count: 8), urgency: .bulk, windowRows: 40)
        #expect(all.seconds < Double(bytes) / (8 * 25e6) / 0.85)
        #expect(Double(all.bytes) < 1.02 * Double(bytes))
        // Where data alone is held, there is nothing to relieve it.
        let data = try read(
            rows: rows, Array(repeating: far, count: 5), urgency: .bulk, windowRows: 40)
        #expect(data.bytes == bytes)
    }

    /// On lines that are quick, decoding would cost more time than it saves.
    @Test func quickLinesAreNotRelieved() throws {
        let quick = Line(latency: 0.001, rate: 200e6)
        let all = try read(Array(repeating: quick, count: 8), urgency: .bulk, windowRows: 20)
        #expect(all.bytes == 60 * 5 * Limits.cellBytes)
    }

    @Test(arguments: [FetchScheduler.Urgency.demand, .bulk], [0, 4])
    func aSlowHolderIsGoneRound(_ urgency: FetchScheduler.Urgency, shard: Int) throws {
        let quick = try read(slow: [], urgency: urgency)
        let slowed = try read(slow: [shard], urgency: urgency)
        // It takes a second to find out what the slow one is like.
        #expect(slowed.seconds < 2 * quick.seconds + 3)
        #expect(Double(slowed.bytes) < 1.06 * Double(quick.bytes) + Double(4 << 20))
    }

    /// Exactly k columns are left, and one of them answers late, once: its answer is taken, and
    /// nobody waits until it may be asked again.
    @Test(arguments: 1...4) func aLateAnswerIsTakenWhereThereIsNoOther(late: Int) throws {
        var swarm = try SchedulerSwarm(
            seed: 1,
            geometry: BlobGeometry(
                storedLength: 40 * 4 * Limits.cellBytes, dataShards: 4, groupShards: 7,
                rowsPerGroup: 700))
        let peers = (1...4).map { swarm.join(latency: 0.002, rate: 30e6, shards: [$0]) }
        for row in 0..<20 {
            swarm.want([swarm.cell(0, row)], .demand)
            swarm.run(until: swarm.now + 1)
        }
        #expect(swarm.wanted.isEmpty && swarm.rebuilds == 20)
        swarm.peers[peers[late - 1]]?.latency = 0.8
        swarm.want([swarm.cell(0, 30)], .demand)
        swarm.run(until: swarm.now + 1.2)
        #expect(swarm.wanted.isEmpty)
        swarm.checkEmpty()
    }

    /// Parity that comes as slowly is no way round.
    @Test func whereAllAreSlowNothingIsRepaired() throws {
        let all = try read(slow: Set(0..<8), urgency: .bulk)
        #expect(Double(all.bytes) < 1.06 * Double(60 * 5 * Limits.cellBytes))
    }
}
