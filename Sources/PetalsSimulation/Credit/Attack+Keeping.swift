internal import PetalsCore

// What is not about credit and has to hold beside it: attack 17.

extension Attack {
    static let churn = Attack(17, "nodes come and go, half of them within 30 minutes") { scale in
        var scenario = KeepingScenario(
            catalogues: 1, donors: 59, models: 25,
            geometry: try .standard(storedLength: 800_000_000), seed: scale.seed)
        // 1.5 copies of those that are there at 0.8.
        scenario.redundancy = 1.875
        scenario.publishersLeaveAt = 2400
        scenario.countsFrom = 3600
        scenario.end = 3600 + 900 * scale.part
        let swarm = KeepingSwarm(scenario)
        swarm.run { $0.checkBooks() }
        return (
            [
                Measure("readable", 100 * swarm.figures.readable, atLeast: 99.9, "%"),
                Measure("repair, of uplink", 100 * swarm.figures.repairShare, atMost: 10, "%"),
            ], swarm.violations
        )
    }
}
