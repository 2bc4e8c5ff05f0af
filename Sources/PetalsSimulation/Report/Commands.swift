internal import ArgumentParser
internal import Foundation
internal import PetalsCore
internal import ShardFetch

/// What all commands print: one JSON document, and an end with an error where a promise was broken.
enum Report {
    static func print(_ figures: some Encodable, violations: [String]) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let bytes = try encoder.encode(figures)
        try FileHandle.standardOutput.write(contentsOf: bytes + Data("\n".utf8))
        guard let first = violations.first else { return }
        throw PetalsError(
            .corrupt, "\(violations.count) promises were broken, the first: \(first)")
    }
}

/// The command `PetalsSimulation spread`.
struct SpreadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "spread", abstract: "A model becomes wanted that one node has.")

    @Option(help: "Nodes of the swarm.")
    var nodes = 100

    @Option(help: "Those that want the model.")
    var crowd = 60

    @Option(help: "Bytes of the model.")
    var bytes = 400_000_000

    @Option(help: "Seconds within which the crowd comes.")
    var arrival = 30.0

    @Option(help: "Part of the crowd that donates.")
    var donors = 0.5

    @Option(help: "Holders that each shard should get.")
    var holders = 10

    @Option(help: "The row of random numbers.")
    var seed: UInt64 = 1

    @Flag(help: "Nodes fetch from the first byte to the last.")
    var inOrder = false

    @Flag(help: "A publisher gives the same cell to everybody.")
    var givesAll = false

    @Flag(help: "The publisher leaves as soon as it could.")
    var leaves = false

    func run() throws {
        var scenario = SpreadScenario(
            nodes: nodes, crowd: crowd, geometry: try .standard(storedLength: bytes), seed: seed)
        scenario.arrivalSeconds = arrival
        scenario.donorShare = donors
        scenario.holdersWanted = holders
        scenario.order = inOrder ? .inOrder : .rarestFirst
        scenario.givesOnce = !givesAll
        scenario.publisherLeaves = leaves
        let swarm = SpreadSwarm(scenario)
        swarm.run()
        try Report.print(swarm.figures, violations: swarm.violations)
    }
}

/// The command `PetalsSimulation keeping`.
struct KeepingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keeping", abstract: "Donors keep models while nodes come and go.")

    @Option(help: "Catalogues, each with donors of its own.")
    var catalogues = 1

    @Option(help: "Donors of each catalogue.")
    var donors = 59

    @Option(help: "Models of each catalogue.")
    var models = 25

    @Option(help: "Quotas of all donors, in copies of the data.")
    var redundancy = 1.5

    @Option(help: "Bytes of a model, which has to fit one group.")
    var bytes = 800_000_000

    @Option(help: "Hours that are counted.")
    var hours = 1.5

    @Option(help: "Seconds until all is in place and the publishers leave; half of it is let pass.")
    var placing = 2400.0

    @Option(help: "Seconds for which a loss is looked at: a rule of the plan, to try others.")
    var loss: Double?

    @Option(help: "What a move has to be better by: a rule of the plan, to try others.")
    var gain: Double?

    @Option(help: "The longest such wait: a rule of the plan, to try others.")
    var lossMost: Double?

    @Option(help: "Mean hours after which a donor goes for good.")
    var lifetime: Double?

    @Option(help: "The row of random numbers.")
    var seed: UInt64 = 1

    func run() throws {
        var scenario = KeepingScenario(
            catalogues: catalogues, donors: donors, models: models,
            geometry: try .standard(storedLength: bytes), seed: seed)
        scenario.redundancy = redundancy
        scenario.publishersLeaveAt = placing
        scenario.countsFrom = 1.5 * placing
        scenario.end = scenario.countsFrom + hours * 3600
        if let loss { scenario.rules.lossSeconds = loss }
        if let lossMost { scenario.rules.lossSecondsMax = lossMost }
        if let gain { scenario.rules.swapGain = gain }
        scenario.lifetimeMean = lifetime.map { $0 * 3600 }
        let swarm = KeepingSwarm(scenario)
        swarm.run { $0.checkBooks() }
        try Report.print(swarm.figures, violations: swarm.violations)
    }
}

/// The command `PetalsSimulation meeting`.
struct MeetingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "meeting", abstract: "What finding each other costs a node in an hour.")

    @Option(help: "Nodes of the swarm.")
    var nodes = 100

    @Option(help: "Nodes that are looked at.")
    var sample = 100

    @Option(help: "The row of random numbers.")
    var seed: UInt64 = 1

    func run() throws {
        var scenario = MeetingSwarm.Scenario(nodes: nodes, seed: seed)
        scenario.sample = sample
        let figures = MeetingSwarm(scenario).run()
        let violations =
            figures.dialsPerSecondMost > 3 ? ["a node began more than 3 dials in a second"] : []
        try Report.print(figures, violations: violations)
    }
}
