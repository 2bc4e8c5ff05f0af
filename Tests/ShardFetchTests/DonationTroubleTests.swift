import PetalsCore
import PetalsTesting
import ShardFetch
import Testing

/// Donors in swarms where not all is well: losses, liars, churn, and quotas that change.
@Suite struct DonationTroubleTests {
    /// Twelve donors that hold two groups of 8 + 4 and each just one shard of each; the publisher
    /// is node 0.
    private func swarm(seed: UInt64, liars: Int = 0) throws -> DonorSwarm {
        let geometry = try DonationPlanTests.geometry(8, 12)
        var swarm = DonorSwarm(geometries: [geometry, geometry], seed: seed)
        swarm.join(.seeder, seed: 1000 + seed)
        for liar in 0..<liars { swarm.join(.liar, seed: 2000 + 10 * seed + UInt64(liar)) }
        for donor in 0..<12 {
            swarm.join(.donor, quota: swarm.copyBytes / 12, seed: 100 * seed + UInt64(donor))
        }
        return swarm
    }

    private func isCovered(_ swarm: DonorSwarm) -> Bool {
        swarm.shards.allSatisfy { !swarm.donors(of: $0).isEmpty }
    }

    /// Survivors with room for no more than what is missing drop what they have twice and rebuild
    /// what nobody has.
    @Test(arguments: UInt64(1)...3) func survivorsWithLargerQuotasMakeUp(seed: UInt64) throws {
        var swarm = try swarm(seed: seed)
        swarm.run(seconds: 60)
        swarm.leave(0)
        for donor in 5...12 {
            swarm.nodes[donor].plan.setQuota(3 * swarm.copyBytes / 24, now: swarm.now)
        }
        swarm.run(seconds: 90)
        for donor in 1...4 { swarm.leave(donor) }
        swarm.run(seconds: 110)
        #expect(isCovered(swarm), "seed \(seed)")
        let (takes, drops) = (swarm.takes, swarm.drops)
        swarm.run(seconds: 120)
        #expect(swarm.takes == takes && swarm.drops == drops, "seed \(seed): it goes on and on")
    }

    /// Who claims everything and gives nothing keeps nobody from holding it.
    @Test(arguments: UInt64(1)...3) func liarsAreNotCounted(seed: UInt64) throws {
        var swarm = try swarm(seed: seed, liars: 4)
        swarm.run(seconds: 120)
        for group in swarm.groupsOfShards { #expect(swarm.spread(group) == 12, "seed \(seed)") }
    }

    /// However little is given, it is filled and never exceeded, and the last copy of nothing is
    /// dropped while anybody has two.
    @Test(arguments: UInt64(1)...3) func quotasComeAndGo(seed: UInt64) throws {
        var swarm = try swarm(seed: seed)
        var generator = SeededGenerator(seed: seed)
        swarm.run(seconds: 40)
        for _ in 0..<4 {
            let donor = Int.random(in: 1...12, using: &generator)
            let shards = Int.random(in: 0...5, using: &generator)
            swarm.nodes[donor].plan.setQuota(
                shards * swarm.copyBytes / 24, now: swarm.now)
            swarm.run(seconds: 1)
            #expect(swarm.nodes[donor].held.count <= shards, "less takes effect at once")
            swarm.run(seconds: 60)
        }
        swarm.run(seconds: 200)
        let (takes, drops) = (swarm.takes, swarm.drops)
        swarm.run(seconds: 100)
        #expect(swarm.takes == takes && swarm.drops == drops, "seed \(seed): it goes on and on")
    }

    /// Donors come and go; those that stay end with everything, and nothing moves any more.
    @Test(arguments: UInt64(1)...3) func churnComesToRest(seed: UInt64) throws {
        var swarm = try swarm(seed: seed)
        var generator = SeededGenerator(seed: seed)
        swarm.run(seconds: 40)
        for round in 0..<6 {
            let up = swarm.nodes.indices.filter {
                swarm.nodes[$0].isUp && swarm.nodes[$0].kind == .donor
            }
            if up.count > 10, let gone = up.randomElement(using: &generator) { swarm.leave(gone) }
            swarm.join(
                .donor, quota: Int.random(in: 1...4, using: &generator) * swarm.copyBytes / 24,
                seed: 5000 + 100 * seed + UInt64(round))
            swarm.run(seconds: Double.random(in: 1...40, using: &generator))
        }
        swarm.run(seconds: 200)
        #expect(isCovered(swarm), "seed \(seed)")
        let (takes, drops) = (swarm.takes, swarm.drops)
        swarm.run(seconds: 100)
        #expect(swarm.takes == takes && swarm.drops == drops, "seed \(seed): it goes on and on")
    }

    /// What many read is held more often than what nobody reads.
    @Test func demandCounts() throws {
        let geometry = try DonationPlanTests.geometry(2, 4)
        var swarm = DonorSwarm(geometries: [geometry, geometry], seed: 7)
        swarm.join(.seeder, seed: 70)
        for donor in 0..<12 {
            swarm.join(.donor, quota: swarm.copyBytes / 8, seed: 700 + UInt64(donor))
            for index in geometry.shards {
                let shard = DonationPlan.Shard(swarm.blobs[1].blob, index)
                let bytes = 63 * swarm.length(shard) / 4
                swarm.nodes[swarm.nodes.count - 1].plan.demanded(bytes, of: shard, now: swarm.now)
            }
        }
        swarm.run(seconds: 200)
        let copies = swarm.groupsOfShards.map { group in
            group.reduce(0) { $0 + swarm.donors(of: $1).count }
        }
        #expect(copies[1] > copies[0], "\(copies)")
        #expect(isCovered(swarm))
    }

    /// Two donors that both keep the only two copies: neither order of looking leaves none.
    @Test func theLastCopyStays() throws {
        let geometry = try DonationPlanTests.geometry(2, 3)
        for seed in UInt64(1)...20 {
            var swarm = DonorSwarm(geometries: [geometry, geometry], seed: seed)
            let both = DonationPlan.Shard(swarm.blobs[0].blob, ShardIndex(0))
            let length = swarm.length(both)
            for donor in 0..<2 {
                swarm.join(
                    .donor, quota: length, seed: 10 * seed + UInt64(donor), holding: [both])
            }
            // Nothing else is worth having yet: nobody gives it.
            swarm.run(seconds: 30)
            #expect(swarm.donors(of: both).count == 2)
            swarm.join(.seeder, seed: 900 + seed)
            swarm.run(seconds: 120)
            #expect(swarm.donors(of: both).count <= 1, "seed \(seed)")
            swarm.leave(2)
            swarm.run(seconds: 60)
            let kinds = Set(swarm.shards.filter { !swarm.donors(of: $0).isEmpty })
            #expect(kinds.count == 2, "seed \(seed): \(kinds)")
        }
    }
}
