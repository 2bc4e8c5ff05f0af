import PetalsCore
import PetalsSimulation
import Testing

/// Whole swarms in virtual time, with the policies that petalsfs runs: promises after each batch of
/// events, and what comes of it in the end.
struct SimulatedSwarmTests {
    @Test("A thousand donors keep ten thousand shards", .timeLimit(.minutes(5)))
    func keeping() throws {
        let seed: UInt64 = 4
        print("seed \(seed)")
        // Fifty catalogues of 17 models of (8, 12), each with donors of its own.
        var scenario = KeepingScenario(
            catalogues: 50, donors: 20, models: 17,
            geometry: try .standard(storedLength: 400_000_000), seed: seed)
        #expect(scenario.nodes == 1000 && scenario.shards == 10_200)
        // 1.5 copies of those that are there at 0.8.
        scenario.redundancy = 1.875
        scenario.publishersLeaveAt = 120
        scenario.countsFrom = 180
        scenario.end = 360
        let swarm = KeepingSwarm(scenario)
        var batches = 0
        swarm.run(every: 50_000) { swarm in
            swarm.checkBooks()
            batches += 1
        }
        let figures = swarm.figures
        #expect(swarm.violations.isEmpty, "seed \(seed): \(swarm.violations.prefix(3))")
        #expect(batches > 2)
        #expect(figures.readable >= 0.999, "seed \(seed)")
        #expect(figures.repairShare <= 0.1, "seed \(seed)")
        #expect(figures.lost == 0, "seed \(seed)")
    }

    @Test("A crowd gets a new model for little more than one copy of the publisher's")
    func spreading() throws {
        let seed: UInt64 = 2
        print("seed \(seed)")
        var scenario = SpreadScenario(
            nodes: 1000, crowd: 16, geometry: try .standard(storedLength: 50_000_000), seed: seed)
        scenario.arrivalSeconds = 5
        scenario.holdersWanted = 5
        scenario.publisherLeaves = true
        let swarm = SpreadSwarm(scenario)
        swarm.run()
        let figures = swarm.figures
        #expect(swarm.violations.isEmpty, "seed \(seed): \(swarm.violations.prefix(3))")
        // The publisher left as soon as others had enough, and everybody got all.
        #expect(figures.finished == 16, "seed \(seed)")
        #expect((figures.publisherCopies ?? .infinity) <= 1.3, "seed \(seed)")
    }

    @Test("A swarm of a hundred times as many costs a node no more than its logarithm")
    func meeting() {
        var scenario = MeetingSwarm.Scenario(nodes: 100, seed: 3)
        scenario.sample = 4
        let small = MeetingSwarm(scenario).run()
        scenario.nodes = 10_000
        let large = MeetingSwarm(scenario).run()
        #expect(large.messages / small.messages <= 2)
        #expect(small.dialsPerSecondMost <= 3 && large.dialsPerSecondMost <= 3)
        #expect(small.firstHolderSeconds < 10 && large.firstHolderSeconds < 10)
    }
}
