import PetalsCore
import PetalsTesting
import ShardFetch
import Testing

/// Whole swarms of donors in virtual time; nothing here depends on a clock.
@Suite struct DonationPlanTests {
    static func mixed(_ seed: UInt64) -> UInt64 {
        var generator = SeededGenerator(seed: seed)
        return generator.next()
    }

    static func geometry(
        _ k: Int, _ n: Int, groups: Int = 1
    ) throws -> BlobGeometry {
        try BlobGeometry(
            storedLength: groups * 4 * k * Limits.cellBytes, dataShards: k, groupShards: n,
            rowsPerGroup: 4)
    }

    /// Donors with a quota of exactly one copy of every shard in all hold every shard of each group
    /// at another donor, for all small shapes, and keep it so when the publisher goes.
    @Test(arguments: 2...6) func exactQuotasEndWithEveryShardElsewhere(n: Int) throws {
        for (k, groups) in (1..<n).flatMap({ k in [1, 2, 3].map { (k, $0) } }) {
            for seed in UInt64(1)...2 {
                let geometries = try (0..<groups).map { _ in try Self.geometry(k, n) }
                var swarm = DonorSwarm(geometries: geometries, seed: seed)
                swarm.join(.seeder, seed: 1000 + seed)
                let quota = swarm.copyBytes / n
                for donor in 0..<n {
                    swarm.join(.donor, quota: quota, seed: 100 * seed + UInt64(donor))
                }
                swarm.run(seconds: 60)
                for group in swarm.groupsOfShards {
                    let spread = swarm.spread(group)
                    #expect(spread == n, "k \(k) n \(n) groups \(groups) seed \(seed): \(spread)")
                }
                let takes = swarm.takes
                #expect(
                    takes == n * groups, "k \(k) n \(n) groups \(groups) seed \(seed): \(takes)")
                swarm.leave(0)
                swarm.run(seconds: 100)
                #expect(swarm.takes == takes && swarm.drops == 0, "nothing moves any more")
            }
        }
    }

    /// Twelve donors, two groups of 8 + 4; four go at once; four fresh ones make up for them.
    @Test(arguments: UInt64(1)...3) func whatIsLostIsMadeAgainOnce(seed: UInt64) throws {
        let geometries = try [Self.geometry(8, 12), Self.geometry(8, 12, groups: 2)]
        var swarm = DonorSwarm(geometries: geometries, seed: seed)
        swarm.join(.seeder, seed: 1000 + seed)
        let quota = swarm.copyBytes / 12
        for donor in 0..<12 { swarm.join(.donor, quota: quota, seed: 100 * seed + UInt64(donor)) }
        swarm.run(seconds: 60)
        for group in swarm.groupsOfShards { #expect(swarm.spread(group) == 12) }
        swarm.leave(0)
        swarm.run(seconds: 30)
        let before = swarm.takes
        for donor in 1...4 { swarm.leave(donor) }
        for donor in 0..<4 {
            swarm.join(.donor, quota: quota, seed: 9000 + 100 * seed + UInt64(donor))
        }
        swarm.run(seconds: 120)
        for group in swarm.groupsOfShards { #expect(swarm.spread(group) == 12, "seed \(seed)") }
        #expect(swarm.takes - before == 12, "seed \(seed): \(swarm.takes - before)")
        #expect(swarm.drops == 0)
    }
}
