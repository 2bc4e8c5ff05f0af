import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

/// Peers that claim what they do not have, beside one that has it and is slower.
struct ClaimTests {
    private func swarm() throws -> SchedulerSwarm {
        try SchedulerSwarm(
            seed: 1,
            geometry: BlobGeometry(
                storedLength: 80 * 4 * Limits.cellBytes, dataShards: 4, groupShards: 6,
                rowsPerGroup: 700))
    }

    /// Whoever refuses what it claims is quick, and is all the same asked a few times only.
    @Test(arguments: [ControlMessage.Refusal.notHeld, .unknown, .badRequest, .broken])
    func whoRefusesIsAskedAfterOthers(_ refusal: ControlMessage.Refusal) throws {
        var swarm = try swarm()
        let liar = swarm.join(
            .refusing(refusal), latency: 0.001, rate: 100e6,
            holds: [ShardIndex(0): CellBitmap(cellCount: 80, complete: true)])
        _ = swarm.join(latency: 0.1, rate: 5e6, shards: [0])
        for row in 0..<80 {
            swarm.want([swarm.cell(0, row)], .demand)
            swarm.run(until: swarm.now + 1)
        }
        #expect(swarm.wanted.isEmpty)
        let broken = swarm.scheduler.peers[liar]?.brokenClaims ?? 0
        #expect((1...6).contains(broken), "it was asked \(broken) times")
    }

    /// Who is busy has what it claims.
    @Test func whoIsBusyIsNotDoubted() throws {
        var swarm = try swarm()
        let busy = swarm.join(
            .refusing(.busy), latency: 0.001, rate: 100e6,
            holds: [ShardIndex(0): CellBitmap(cellCount: 80, complete: true)])
        for row in 0..<4 { swarm.want([swarm.cell(0, row)], .demand) }
        swarm.run(until: 3)
        #expect(swarm.scheduler.peers[busy]?.brokenClaims == 0)
    }

    /// Doubt puts a peer after others; where there are no others it is asked at once.
    @Test func theLastWhoClaimsIsAsked() throws {
        var swarm = try swarm()
        let peer = swarm.join(latency: 0.001, rate: 100e6, shards: [0])
        swarm.want([swarm.cell(0, 79)], .demand)
        swarm.run(until: 1)
        #expect(swarm.wanted.isEmpty, "the hashes of the shard are here")
        swarm.peers[peer]?.manner = .refusing(.notHeld)
        for row in 0..<20 {
            swarm.want([swarm.cell(0, row)], .demand)
            swarm.run(until: swarm.now + 0.1)
        }
        #expect(swarm.scheduler.peers[peer]?.brokenClaims ?? 0 >= 9)
        swarm.peers[peer]?.manner = .honest
        swarm.want([swarm.cell(0, 70)], .demand)
        swarm.run(until: swarm.now + 0.5)
        #expect(swarm.wanted[swarm.cell(0, 70)] == nil)
        #expect(swarm.scheduler.peers[peer]?.brokenClaims == 0)
    }
}
