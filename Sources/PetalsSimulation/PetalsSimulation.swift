//
// PetalsSimulation: whole swarms in virtual time.
//
// Whether a policy is good shows when a thousand nodes follow it, and nobody has a thousand machines
// at hand. So this program has them in one process, with the very code that petalsfs runs: every
// node has machines of its own (`DialPlan`, `FetchScheduler`, `DonationPlan` and the others, which
// take time as an argument and open no socket), and the world between them is a model.
//
//   Kernel/    the model: what happens when (`EventQueue`), what lines carry (`Lines`), who takes
//              part (`Population`), the DHT (`Rendezvous`)
//   Spread/    a model becomes wanted that one node has: cells, schedulers, exchange
//   Keeping/   donors keep thousands of shards while nodes come and go: `DonationPlan`
//   Meeting/   what finding each other costs a node, in swarms of up to 100,000
//   Report/    figures, targets, and the commands
//
// scripts/simulate runs it and makes tables and a picture; SwarmTests uses it as a library and
// checks its promises after each batch of events. docs/SIMULATION.md says how to read the figures.
//
// What it never does: decide in the place of a policy. Where something of a node is left out or
// done for many nodes at once, the type that does so says what and why.
//
// A seed gives the same run everywhere: all randomness is `SeededGenerator`'s, and nothing depends
// on the order of a dictionary, which is another in each process.
//
internal import ArgumentParser
internal import Foundation
internal import PetalsCore

/// The root of the commands.
@main
struct SimulationCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "PetalsSimulation", abstract: "Runs swarms of petalsfs in virtual time.",
        subcommands: [SpreadCommand.self])
}

/// The command `PetalsSimulation spread`.
struct SpreadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "spread", abstract: "A model becomes wanted that one node has.")

    @Option(help: "Nodes of the swarm.")
    var nodes = 100

    @Option(help: "Those that want the model.")
    var crowd = 99

    @Option(help: "Bytes of the model.")
    var bytes = 400_000_000

    @Option(help: "Seconds within which the crowd comes.")
    var arrival = 300.0

    @Option(help: "Part of the crowd that donates.")
    var donors = 0.5

    @Option(help: "The row of random numbers.")
    var seed: UInt64 = 1

    @Flag(help: "From the first byte to the last.")
    var inOrder = false

    @Flag(help: "Nodes give the same cell to everybody.")
    var givesAll = false

    @Option(help: "Seconds for which a cell is not given again.")
    var hold = 60.0

    @Flag(help: "The publisher leaves as soon as it could.")
    var leaves = false

    func run() throws {
        var scenario = SpreadScenario(
            nodes: nodes, crowd: crowd, geometry: try .standard(storedLength: bytes), seed: seed)
        scenario.arrivalSeconds = arrival
        scenario.donorShare = donors
        scenario.order = inOrder ? .inOrder : .rarestFirst
        scenario.publisherLeaves = leaves
        scenario.givesOnce = !givesAll
        scenario.holdSeconds = hold
        let swarm = SpreadSwarm(scenario)
        swarm.run()
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        print(String(decoding: try encoder.encode(swarm.figures), as: UTF8.self))
        for line in swarm.violations.prefix(5) { print(line) }
    }
}
